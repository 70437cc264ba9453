//! Who may call what.
//!
//! On the Unix socket the operating system has decided: whoever may open it is the host's operator. Over TLS the role in
//! the certificate decides. There is no third way in.

use std::sync::Arc;

use roadstead_core::state::join::Role;
use rustls::pki_types::CertificateDer;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use crate::pki;

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A process on this host that may open the socket.
    Local,
    /// The holder of a certificate that the authority has signed.
    Holder(Arc<Vec<CertificateDer<'static>>>),
    /// Over TLS, without a certificate.
    Nobody,
}

impl Caller {
    fn of<T>(request: &Request<T>) -> Self {
        if request.extensions().get::<UdsConnectInfo>().is_some() {
            return Self::Local;
        }
        match request.peer_certs() {
            Some(certificates) if !certificates.is_empty() => Self::Holder(certificates),
            Some(_) | None => Self::Nobody,
        }
    }

    fn is(&self, role: Role, id: Option<&str>) -> bool {
        match self {
            Self::Local => true,
            Self::Holder(certificates) => certificates
                .first()
                .is_some_and(|certificate| pki::is_for(certificate, role, id)),
            Self::Nobody => false,
        }
    }
}

/// Lets only this host's operator and holders of these roles pass.
///
/// # Errors
/// `UNAUTHENTICATED` without a certificate, `PERMISSION_DENIED` with one of another role.
pub(crate) fn only<T>(request: Request<T>, roles: &[Role]) -> Result<Request<T>, Status> {
    let caller = Caller::of(&request);
    if roles.iter().any(|role| caller.is(*role, None)) {
        return Ok(request);
    }
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let wanted = names.join(" or ");
    Err(match caller {
        Caller::Nobody => Status::unauthenticated(format!(
            "this needs a certificate as {wanted}: join first, with a token from `ctl token create`"
        )),
        Caller::Local | Caller::Holder(_) => {
            Status::permission_denied(format!("this needs a certificate as {wanted}"))
        }
    })
}

/// Lets a caller speak only for itself.
///
/// # Errors
/// `PERMISSION_DENIED` when its certificate is another one's.
pub(crate) fn itself<T>(
    request: &Request<T>,
    role: Role,
) -> impl Fn(&str) -> Result<(), Status> + use<T> {
    let caller = Caller::of(request);
    move |id| {
        if caller.is(role, Some(id)) {
            return Ok(());
        }
        let role = role.name();
        Err(Status::permission_denied(format!(
            "this certificate is not the one of {role} {id}; join again on that host"
        )))
    }
}
