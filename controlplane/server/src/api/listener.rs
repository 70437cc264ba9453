//! Operations on listeners.

use roadstead_core::id::ListenerRef;
use roadstead_core::state::load_balancer::ListenerAttributes;
use roadstead_core::{ClusterState, Command, Exception, Rejection};
use roadstead_proto::elb::{
    AddListenerCertificatesRequest, AddListenerCertificatesResponse, Certificate,
    CreateListenerRequest, CreateListenerResponse, DeleteListenerRequest, DeleteListenerResponse,
    DescribeListenerAttributesRequest, DescribeListenerAttributesResponse,
    DescribeListenerCertificatesRequest, DescribeListenerCertificatesResponse,
    DescribeListenersRequest, DescribeListenersResponse, ModifyListenerAttributesRequest,
    ModifyListenerAttributesResponse, ModifyListenerRequest, ModifyListenerResponse,
    RemoveListenerCertificatesRequest, RemoveListenerCertificatesResponse,
};

use super::convert::{action, listener as convert, listener_attribute, name, protocol};
use super::status::Refusal;
use super::{Api, within};
use crate::id;

pub(super) async fn create(
    api: &Api,
    request: CreateListenerRequest,
) -> Result<CreateListenerResponse, Refusal> {
    let wanted = protocol::Wanted {
        protocol: request.protocol.as_deref(),
        certificates: &request.certificates,
        mutual_authentication: request.mutual_authentication.as_ref(),
    };
    let protocol = wanted.create()?;
    let load_balancer = name::load_balancer(request.load_balancer_arn.as_deref())?;
    let port = request
        .port
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0);
    let port = port.ok_or_else(|| Rejection::validation("port must be 1 to 65535"))?;
    let default = action::from_proto(&request.default_actions)?;
    let attributes = listener_attribute::from_proto(&request.attributes)?;
    ListenerAttributes::default().changed(attributes.clone())?;
    let id = ListenerRef {
        load_balancer,
        listener: id::listener(),
    };
    let state = api
        .write(Command::CreateListener {
            id: id.clone(),
            port,
            protocol,
            attributes,
            default,
        })
        .await?;
    let listener = convert::to_proto(&state.arns(), state.listener(&id)?.as_ref());
    Ok(CreateListenerResponse {
        listeners: vec![listener],
    })
}

pub(super) async fn describe(
    api: &Api,
    request: DescribeListenersRequest,
) -> Result<DescribeListenersResponse, Refusal> {
    within(request.listener_arns.len(), 100, "listenerArns")?;
    let state = api.read().await?;
    let arns = state.arns();
    if !request.listener_arns.is_empty() {
        let find = |arn: &String| {
            let id = name::listener(Some(arn))?;
            Ok::<_, Rejection>(convert::to_proto(&arns, state.listener(&id)?.as_ref()))
        };
        let listeners: Result<Vec<_>, Rejection> = request.listener_arns.iter().map(find).collect();
        return Ok(DescribeListenersResponse {
            listeners: listeners?,
        });
    }
    let of = request
        .load_balancer_arn
        .as_deref()
        .map(|arn| name::load_balancer(Some(arn)))
        .transpose()?;
    if let Some(name) = of
        .as_ref()
        .filter(|name| !state.load_balancers.contains_key(*name))
    {
        let message = format!("Load balancer '{name}' not found");
        return Err(Rejection::new(Exception::LoadBalancerNotFound, message).into());
    }
    let listed = state
        .listeners
        .values()
        .filter(|one| of.as_ref().is_none_or(|name| one.id.load_balancer == *name));
    Ok(DescribeListenersResponse {
        listeners: listed.map(|one| convert::to_proto(&arns, one)).collect(),
    })
}

/// Changes what is given, and keeps the rest.
pub(super) async fn modify(
    api: &Api,
    request: ModifyListenerRequest,
) -> Result<ModifyListenerResponse, Refusal> {
    let id = name::listener(request.listener_arn.as_deref())?;
    let default = match request.default_actions.as_slice() {
        [] => None,
        actions => Some(action::from_proto(actions)?),
    };
    let wanted = protocol::Wanted {
        protocol: request.protocol.as_deref(),
        certificates: &request.certificates,
        mutual_authentication: request.mutual_authentication.as_ref(),
    };
    let attributes = listener_attribute::from_proto(&request.attributes)?;
    let decide = |state: &ClusterState| {
        let listener = state.listener(&id)?;
        // Before the log: what is refused there has filled it.
        listener.attributes.clone().changed(attributes.clone())?;
        let known = &listener.protocol;
        let protocol = wanted.modify(known)?;
        Ok(Command::ModifyListener {
            id: id.clone(),
            protocol: protocol.map(|protocol| (protocol, known.clone())),
            attributes: attributes.clone(),
            default: default.clone(),
        })
    };
    let state = api.change(decide).await?;
    let listener = convert::to_proto(&state.arns(), state.listener(&id)?);
    Ok(ModifyListenerResponse {
        listeners: vec![listener],
    })
}

pub(super) async fn modify_attributes(
    api: &Api,
    request: ModifyListenerAttributesRequest,
) -> Result<ModifyListenerAttributesResponse, Refusal> {
    let change = ModifyListenerRequest {
        listener_arn: request.listener_arn,
        attributes: request.attributes,
        ..ModifyListenerRequest::default()
    };
    let listeners = modify(api, change).await?.listeners.into_iter();
    Ok(ModifyListenerAttributesResponse {
        attributes: listeners.flat_map(|one| one.attributes).collect(),
    })
}

pub(super) async fn describe_attributes(
    api: &Api,
    request: DescribeListenerAttributesRequest,
) -> Result<DescribeListenerAttributesResponse, Refusal> {
    let id = name::listener(request.listener_arn.as_deref())?;
    let state = api.read().await?;
    Ok(DescribeListenerAttributesResponse {
        attributes: listener_attribute::to_proto(&state.listener(&id)?.attributes),
    })
}

pub(super) async fn delete(
    api: &Api,
    request: DeleteListenerRequest,
) -> Result<DeleteListenerResponse, Refusal> {
    let id = name::listener(request.listener_arn.as_deref())?;
    api.write(Command::DeleteListener { id }).await?;
    Ok(DeleteListenerResponse {})
}

pub(super) async fn add_certificates(
    api: &Api,
    request: AddListenerCertificatesRequest,
) -> Result<AddListenerCertificatesResponse, Refusal> {
    within(request.certificates.len(), 25, "certificates")?;
    let id = name::listener(request.listener_arn.as_deref())?;
    let certificates = protocol::certificates(&request.certificates)?;
    let command = Command::AddListenerCertificates {
        id,
        certificates: certificates.clone(),
    };
    let arns = api.write(command).await?.arns();
    let added = certificates.iter().map(|id| Certificate {
        certificate_arn: Some(arns.certificate(id)),
        is_default: Some(false),
    });
    Ok(AddListenerCertificatesResponse {
        certificates: added.collect(),
    })
}

pub(super) async fn remove_certificates(
    api: &Api,
    request: RemoveListenerCertificatesRequest,
) -> Result<RemoveListenerCertificatesResponse, Refusal> {
    within(request.certificates.len(), 25, "certificates")?;
    let id = name::listener(request.listener_arn.as_deref())?;
    let certificates = protocol::certificates(&request.certificates)?;
    api.write(Command::RemoveListenerCertificates { id, certificates })
        .await?;
    Ok(RemoveListenerCertificatesResponse {})
}

pub(super) async fn describe_certificates(
    api: &Api,
    request: DescribeListenerCertificatesRequest,
) -> Result<DescribeListenerCertificatesResponse, Refusal> {
    let id = name::listener(request.listener_arn.as_deref())?;
    let state = api.read().await?;
    let certificates = state.listener(&id)?.protocol.certificates();
    Ok(DescribeListenerCertificatesResponse {
        certificates: protocol::certificates_to_proto(&state.arns(), certificates),
    })
}
