use super::*;

fn table() -> lb::Table {
    lb::Table {
        revision: 1,
        control_plane_id: "cp".to_owned(),
        listeners: vec![lb::Listener {
            listener_arn: "front".to_owned(),
            port: 80,
            protocol: "HTTP".to_owned(),
            rules: vec![lb::Rule {
                forward: vec![lb::WeightedTargetGroup {
                    target_group_arn: "web".to_owned(),
                    weight: 1,
                }],
                ..lb::Rule::default()
            }],
            ..lb::Listener::default()
        }],
        target_groups: vec![lb::TargetGroup {
            target_group_arn: "web".to_owned(),
            targets: vec![lb::Target {
                target_id: "t1".to_owned(),
                address: "10.0.0.1".to_owned(),
                port: 8080,
                ..lb::Target::default()
            }],
            ..lb::TargetGroup::default()
        }],
        ..lb::Table::default()
    }
}

fn read(table: &lb::Table) -> Result<Draft, TableError> {
    Draft::read(table, &mut Keyring::new())
}

fn refused(change: impl FnOnce(&mut lb::Table)) -> String {
    let mut table = table();
    change(&mut table);
    read(&table).unwrap_err().to_string()
}

#[test]
fn a_sound_table_is_read() {
    let draft = read(&table()).unwrap();
    assert_eq!(draft.listeners.keys().collect::<Vec<_>>(), [&80]);
    assert_eq!(
        draft.groups[0].targets[0].address,
        "10.0.0.1:8080".parse().unwrap()
    );
}

#[test]
fn a_health_check_without_values_has_elbs_defaults() {
    let mut table = table();
    table.target_groups[0].health_check = Some(lb::HealthCheck::default());
    let draft = read(&table).unwrap();
    let check = draft.groups[0].health_check.clone().unwrap();
    assert_eq!((check.path.as_str(), check.interval.as_secs()), ("/", 30));
    assert_eq!(check.success_codes, [200..=200]);
    assert_eq!((check.healthy_threshold, check.unhealthy_threshold), (5, 2));
}

#[test]
fn a_table_that_cannot_be_followed_is_refused_and_the_error_names_what_is_wrong() {
    assert_eq!(
        refused(|table| table.listeners[0].port = 70_000),
        "listener front has port 70000; a port is 1 to 65535"
    );
    assert_eq!(
        refused(|table| table.listeners.push(table.listeners[0].clone())),
        "two listeners have port 80"
    );
    assert_eq!(
        refused(|table| table.listeners[0].protocol = "UDP".to_owned()),
        "listener front speaks UDP; HTTP, HTTPS and TCP are known"
    );
    assert_eq!(
        refused(|table| table.listeners[0].protocol = "HTTPS".to_owned()),
        "listener front cannot shake hands as the table wants it"
    );
    assert_eq!(
        refused(|table| table.target_groups.clear()),
        "a rule of listener front forwards to web, which is no target group of this table"
    );
    assert_eq!(
        refused(|table| table.target_groups[0].targets[0].address = "host".to_owned()),
        "target t1 of web is at host port 8080; an IP address and a port of 1 to 65535 are needed"
    );
    assert_eq!(
        refused(|table| {
            let twice = table.target_groups[0].targets[0].clone();
            table.target_groups[0].targets.push(twice);
        }),
        "target t1 of web is there twice"
    );
    assert_eq!(
        refused(|table| table.target_groups[0].protocol = "UDP".to_owned()),
        "target group web speaks UDP; HTTP, HTTPS and TCP are known"
    );
    assert_eq!(
        refused(|table| {
            table.listeners[0].protocol = "TCP".to_owned();
            table.target_groups[0].protocol = "HTTPS".to_owned();
        }),
        "TCP listener front forwards to web, whose targets are spoken to in TLS; it can only pass on what clients say"
    );
}

#[test]
fn targets_are_asked_as_they_are_spoken_to_if_nothing_else_is_said() {
    use crate::health::Question::{Connection, Grpc, Http1, Http2};
    use crate::upstream::Transport::{Plain, Tls};
    let asked = |protocol: &str, version: &str, check: &str| {
        let mut table = table();
        let group = &mut table.target_groups[0];
        group.protocol = protocol.to_owned();
        group.protocol_version = version.to_owned();
        group.health_check = Some(lb::HealthCheck {
            protocol: check.to_owned(),
            ..lb::HealthCheck::default()
        });
        let draft = read(&table).unwrap();
        let check = draft.groups[0].health_check.clone().unwrap();
        (check.question, check.transport)
    };
    assert_eq!(asked("", "", ""), (Http1, Plain));
    assert_eq!(asked("HTTP", "GRPC", "HTTP"), (Grpc, Plain));
    assert_eq!(asked("TCP", "", ""), (Connection, Plain));
    assert_eq!(asked("HTTPS", "", ""), (Http1, Tls));
    assert_eq!(asked("HTTPS", "HTTP2", "HTTPS"), (Http2, Tls));
    assert_eq!(asked("HTTPS", "GRPC", ""), (Grpc, Tls));
    assert_eq!(asked("HTTPS", "GRPC", "HTTP"), (Grpc, Plain));
    assert_eq!(asked("HTTPS", "GRPC", "TCP"), (Connection, Plain));
    // What is asked over TLS is not what gets the calls.
    assert_eq!(asked("HTTP", "GRPC", "HTTPS"), (Http1, Tls));
}
