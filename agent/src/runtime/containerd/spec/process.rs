//! The first process of a container.

use std::collections::HashSet;

use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, PosixRlimitBuilder,
    PosixRlimitType, Process, ProcessBuilder, UserBuilder,
};

use super::{Ingredients, SpecError};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Docker's default set.
const CAPABILITIES: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

pub(super) fn process(of: &Ingredients) -> Result<Process, SpecError> {
    let config = of.image.config().as_ref();
    let cwd = config.and_then(|config| config.working_dir().clone());
    let user = UserBuilder::default()
        .uid(of.user.uid)
        .gid(of.user.gid)
        .additional_gids(of.user.additional_gids.clone());
    let files = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(of.open_files)
        .hard(of.open_files);
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(user.build()?)
        .args(arguments(of)?)
        .env(environment(of))
        .cwd(cwd.filter(|cwd| !cwd.is_empty()).unwrap_or("/".into()))
        .capabilities(capabilities(of.user.uid)?)
        .rlimits(vec![files.build()?])
        .no_new_privileges(false)
        .oom_score_adj(0);
    Ok(process.build()?)
}

/// Docker's rule: an entry point of the definition also replaces the image's command.
fn arguments(of: &Ingredients) -> Result<Vec<String>, SpecError> {
    let config = of.image.config().as_ref();
    let entry_point = &of.definition.entry_point;
    let command = &of.definition.command;
    let image_entry_point = config.and_then(|config| config.entrypoint().clone());
    let image_command = config.and_then(|config| config.cmd().clone());
    let mut arguments = match entry_point.is_empty() {
        false => entry_point.clone(),
        true => image_entry_point.unwrap_or_default(),
    };
    match (command.is_empty(), entry_point.is_empty()) {
        (false, _) => arguments.extend_from_slice(command),
        (true, true) => arguments.extend(image_command.unwrap_or_default()),
        (true, false) => {}
    }
    if arguments.is_empty() {
        return Err(SpecError::NoCommand);
    }
    Ok(arguments)
}

/// The image's variables, with the definition's over them.
fn environment(of: &Ingredients) -> Vec<String> {
    let config = of.image.config().as_ref();
    let mut variables = vec![PATH.to_owned(), format!("HOSTNAME={}", of.hostname)];
    let image = config.and_then(|config| config.env().clone());
    let own = of.definition.environment.iter().map(|pair| {
        let name = pair.name.as_deref().unwrap_or_default();
        format!("{name}={}", pair.value.as_deref().unwrap_or_default())
    });
    for variable in image.unwrap_or_default().into_iter().chain(own) {
        let name = variable.split('=').next().unwrap_or_default();
        let same = |other: &String| other.split('=').next() == Some(name);
        match variables.iter().position(same) {
            Some(at) => variables[at] = variable,
            None => variables.push(variable),
        }
    }
    variables
}

/// Root has the default set; any other user could only gain it, as execve(2) has it. The empty sets
/// are written out, because runc refuses what it fills in itself.
fn capabilities(uid: u32) -> Result<LinuxCapabilities, SpecError> {
    let all: Capabilities = CAPABILITIES.into_iter().collect();
    let held = if uid == 0 {
        all.clone()
    } else {
        HashSet::new()
    };
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(all)
        .effective(held.clone())
        .permitted(held)
        .inheritable(HashSet::new())
        .ambient(HashSet::new());
    Ok(capabilities.build()?)
}
