use super::*;
use roadstead_client::proto::ecs::KeyValuePair;

fn image(config: &str) -> ImageConfiguration {
    let json = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{config},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

fn build(
    definition: &ContainerDefinition,
    image: &ImageConfiguration,
    uid: u32,
    network: bool,
) -> Result<Spec, SpecError> {
    spec(&Ingredients {
        definition,
        image,
        user: &User {
            uid,
            ..User::default()
        },
        hostname: "box",
        network: network.then_some(Path::new("/run/netns/x")),
        cgroup: "/rs/a1/a1-0",
        unified: false,
        open_files: 1024,
        files: Path::new("/data/a1/0"),
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_command_line_is_merged_as_docker_merges_it() {
    let image = image(r#"{"Entrypoint":["ie"],"Cmd":["ic"]}"#);
    let line = |entry_point: &str, command: &str| {
        let definition = ContainerDefinition {
            entry_point: words(entry_point),
            command: words(command),
            ..ContainerDefinition::default()
        };
        let spec = build(&definition, &image, 0, true).unwrap();
        let process = spec.process().clone().unwrap();
        process.args().clone().unwrap().join(" ")
    };
    assert_eq!(line("", ""), "ie ic");
    assert_eq!(line("", "c"), "ie c");
    assert_eq!(line("e", ""), "e");
    assert_eq!(line("e", "c"), "e c");
}

#[test]
fn an_image_without_a_command_needs_one() {
    let got = build(&ContainerDefinition::default(), &image("{}"), 0, true);
    assert!(matches!(got, Err(SpecError::NoCommand)));
}

#[test]
fn the_definition_s_variables_win_over_the_image_s() {
    let image = image(r#"{"Cmd":["x"],"Env":["PATH=/image","A=image","B=image"]}"#);
    let definition = ContainerDefinition {
        environment: vec![KeyValuePair {
            name: Some("A".into()),
            value: Some("own".into()),
        }],
        ..ContainerDefinition::default()
    };
    let spec = build(&definition, &image, 0, true).unwrap();
    let env = spec.process().clone().unwrap().env().clone().unwrap();
    assert_eq!(env, ["PATH=/image", "HOSTNAME=box", "A=own", "B=image"]);
}

#[test]
fn limits_are_in_the_units_of_the_kernel() {
    let definition = ContainerDefinition {
        cpu: Some(1),
        memory: Some(64),
        memory_reservation: Some(32),
        command: words("x"),
        ..ContainerDefinition::default()
    };
    let spec = build(&definition, &image("{}"), 0, true).unwrap();
    let linux = spec.linux().clone().unwrap();
    let resources = linux.resources().clone().unwrap();
    assert_eq!(resources.cpu().clone().unwrap().shares(), Some(2));
    let memory = (*resources.memory()).unwrap();
    assert_eq!(memory.limit(), Some(64 << 20));
    assert_eq!(memory.reservation(), Some(32 << 20));
}

#[test]
fn only_root_holds_capabilities_at_once() {
    let definition = ContainerDefinition {
        command: words("x"),
        ..ContainerDefinition::default()
    };
    for (uid, held) in [(0, 14), (33, 0)] {
        let spec = build(&definition, &image("{}"), uid, true).unwrap();
        let process = spec.process().clone().unwrap();
        let capabilities = process.capabilities().clone().unwrap();
        assert_eq!(capabilities.effective().clone().unwrap().len(), held);
        assert_eq!(capabilities.bounding().clone().unwrap().len(), 14);
    }
}

#[test]
fn the_host_s_network_brings_the_host_s_name() {
    let definition = ContainerDefinition {
        command: words("x"),
        ..ContainerDefinition::default()
    };
    let spec = build(&definition, &image("{}"), 0, false).unwrap();
    assert_eq!(*spec.hostname(), None);
    let linux = spec.linux().clone().unwrap();
    let kinds: Vec<_> = linux.namespaces().clone().unwrap();
    let kinds: Vec<_> = kinds.iter().map(LinuxNamespace::typ).collect();
    assert!(!kinds.contains(&LinuxNamespaceType::Network));
    assert!(!kinds.contains(&LinuxNamespaceType::Uts));
}
