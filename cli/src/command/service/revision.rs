//! Which revision comes next: `--image` copies the current one with another image.

use roadstead_client::proto::ecs::{
    ContainerDefinition, RegisterTaskDefinitionRequest, TaskDefinition,
};

use crate::error::Error;

/// Returns the request for a copy of a revision with other images, each `[CONTAINER=]IMAGE`.
///
/// # Errors
/// Fails when there is no such container, or none is named and there are several.
pub(super) fn with_images(
    current: TaskDefinition,
    images: &[String],
) -> Result<RegisterTaskDefinitionRequest, Error> {
    let mut containers = current.container_definitions;
    for text in images {
        let (container, image) = match text.split_once('=') {
            Some((name, image)) => (named(&mut containers, name)?, image),
            None => (only(&mut containers)?, text.as_str()),
        };
        container.image = Some(image.to_owned());
    }
    Ok(RegisterTaskDefinitionRequest {
        family: current.family,
        network_mode: current.network_mode,
        container_definitions: containers,
        volumes: current.volumes,
        placement_constraints: current.placement_constraints,
        requires_compatibilities: current.requires_compatibilities,
        cpu: current.cpu,
        memory: current.memory,
    })
}

fn named<'a>(
    containers: &'a mut [ContainerDefinition],
    name: &str,
) -> Result<&'a mut ContainerDefinition, Error> {
    let names = names(containers);
    containers
        .iter_mut()
        .find(|container| container.name.as_deref() == Some(name))
        .ok_or_else(|| Error::Unfit(format!("there is no container {name}; there are: {names}")))
}

fn only(containers: &mut [ContainerDefinition]) -> Result<&mut ContainerDefinition, Error> {
    let names = names(containers);
    match containers {
        [only] => Ok(only),
        _ => Err(Error::Unfit(format!(
            "the task definition has several containers: say --image CONTAINER=IMAGE for one of {names}"
        ))),
    }
}

fn names(containers: &[ContainerDefinition]) -> String {
    let names = containers
        .iter()
        .map(|container| container.name.as_deref().unwrap_or("-"));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(names: &[&str]) -> TaskDefinition {
        let containers = names.iter().map(|&name| ContainerDefinition {
            name: Some(name.into()),
            image: Some("old:v1".into()),
            ..ContainerDefinition::default()
        });
        TaskDefinition {
            family: Some("web".into()),
            memory: Some("256".into()),
            revision: Some(3),
            container_definitions: containers.collect(),
            ..TaskDefinition::default()
        }
    }

    fn image(request: &RegisterTaskDefinitionRequest, at: usize) -> &str {
        request.container_definitions[at].image.as_deref().unwrap()
    }

    #[test]
    fn an_image_alone_goes_to_the_only_container() {
        let request = with_images(definition(&["app"]), &["shop/web:v2".into()]).unwrap();
        assert_eq!(image(&request, 0), "shop/web:v2");
        assert_eq!(request.family.as_deref(), Some("web"));
        assert_eq!(request.memory.as_deref(), Some("256"));
    }

    #[test]
    fn a_named_container_takes_its_image_and_the_others_keep_theirs() {
        let request = with_images(definition(&["app", "log"]), &["log=fluent:v2".into()]).unwrap();
        assert_eq!(image(&request, 0), "old:v1");
        assert_eq!(image(&request, 1), "fluent:v2");
    }

    #[test]
    fn an_image_that_fits_no_container_is_refused_with_the_names() {
        let error = with_images(definition(&["app", "log"]), &["web:v2".into()]).unwrap_err();
        assert!(
            error.to_string().ends_with("for one of app, log"),
            "{error}"
        );
        let error = with_images(definition(&["app"]), &["web=web:v2".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no container web; there are: app"
        );
    }
}
