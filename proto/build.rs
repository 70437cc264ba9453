//! Compiles the contract, and gives the public messages the JSON shape that the AWS CLI prints:
//! camelCase for ECS, PascalCase for Elastic Load Balancing, absent keys left out.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const FILES: [&str; 8] = [
    "v1/ecs.proto",
    "v1/elb.proto",
    "v1/acm.proto",
    "v1/console.proto",
    "v1/agent.proto",
    "v1/lb.proto",
    "v1/raft.proto",
    "v1/join.proto",
];

/// Lists that ECS sends even when they are empty; every other empty list is left out.
const ALWAYS_SENT: [&str; 21] = [
    "failures",
    "tasks",
    "services",
    "events",
    "deployments",
    "load_balancers",
    "service_registries",
    "placement_constraints",
    "placement_strategy",
    "volumes",
    "port_mappings",
    "environment",
    "mount_points",
    "volumes_from",
    "system_controls",
    "containers",
    "attachments",
    "attributes",
    "container_instances",
    "clusters",
    "tags",
];

/// Names whose capitals neither camelCase nor PascalCase would give.
const RENAMED: [(&str, &str); 2] = [("bind_ip", "bindIP"), ("dns_name", "DNSName")];

/// A message of the console that holds others which have no JSON form; `ctl` shows what it makes of it.
const INTERNAL: &str = "roadstead.console.v1.DescribeTrafficResponse";

/// Messages with a secret: `src/secret.rs` says what their `Debug` shows.
const SECRET: [&str; 4] = [
    "roadstead.acm.v1.ImportCertificateRequest",
    "roadstead.lb.v1.Certificate",
    "roadstead.raft.v1.KeepSealingKeyRequest",
    "roadstead.raft.v1.GetSealingKeyResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=v1");
    let files: FileDescriptorSet = protox::compile(FILES, ["."])?;
    let mut config = tonic_prost_build::configure()
        .btree_map(".")
        .skip_debug(SECRET);
    for file in &files.file {
        let case = match file.package() {
            "roadstead.ecs.v1" | "roadstead.console.v1" => "camelCase",
            "roadstead.elb.v1" | "roadstead.acm.v1" => "PascalCase",
            _ => continue,
        };
        for message in &file.message_type {
            let path = format!("{}.{}", file.package(), message.name());
            if path == INTERNAL {
                continue;
            }
            config = config.type_attribute(
                &path,
                format!(
                    "#[derive(serde::Serialize, serde::Deserialize)] \
                     #[serde(rename_all = \"{case}\", default, deny_unknown_fields)]"
                ),
            );
            let always_sent = if case == "camelCase" {
                ALWAYS_SENT.as_slice()
            } else {
                &[]
            };
            for (field, attribute) in field_attributes(message, always_sent) {
                config = config.field_attribute(format!("{path}.{field}"), attribute);
            }
        }
    }
    config.compile_fds(files)?;
    Ok(())
}

fn field_attributes(message: &DescriptorProto, always_sent: &[&str]) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    for field in &message.field {
        if let Some(skip) = skip_when_absent(field, always_sent) {
            let attribute = format!("#[serde(skip_serializing_if = \"{skip}\")]");
            attributes.push((field.name().to_owned(), attribute));
        }
        if field.r#type() == Type::Bytes {
            let attribute = "#[serde(with = \"crate::blob\")]".to_owned();
            attributes.push((field.name().to_owned(), attribute));
        }
        if let Some((_, to)) = RENAMED.iter().find(|(from, _)| *from == field.name()) {
            attributes.push((
                field.name().to_owned(),
                format!("#[serde(rename = \"{to}\")]"),
            ));
        }
    }
    attributes
}

fn skip_when_absent(field: &FieldDescriptorProto, always_sent: &[&str]) -> Option<&'static str> {
    match field.label() {
        Label::Repeated if always_sent.contains(&field.name()) => None,
        Label::Repeated => Some("Vec::is_empty"),
        Label::Optional | Label::Required => Some("Option::is_none"),
    }
}
