//! What a listener speaks, as it is written on the command line.

use roadstead_client::proto::elb::{Certificate, MutualAuthenticationAttributes};

use super::name;
use crate::connection::Connection;
use crate::error::Error;
use crate::input;

/// HTTPS with a certificate, HTTP without.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Speaks HTTPS with this certificate, given by its ARN or one of its names.
    #[arg(long, value_name = "CERTIFICATE")]
    certificate: Option<String>,
    /// PEM file with the authorities of clients: who has no certificate from them is turned away.
    #[arg(long, value_name = "FILE")]
    client_authority: Option<String>,
    /// Asks clients for no certificate any more.
    #[arg(long, conflicts_with = "client_authority")]
    no_client_authority: bool,
    /// Speaks HTTP without TLS.
    #[arg(long, conflicts_with_all = ["certificate", "client_authority", "no_client_authority"])]
    plain: bool,
    /// Passes connections on as they are; rules may ask for the source, and as --host for the name that a client of TLS asks for.
    #[arg(long, conflicts_with_all = ["certificate", "client_authority", "no_client_authority", "plain"])]
    tcp: bool,
}

impl Args {
    pub(super) fn is_empty(&self) -> bool {
        !self.plain
            && !self.tcp
            && self.certificate.is_none()
            && self.client_authority.is_none()
            && !self.no_client_authority
    }

    /// Returns the protocol, if one was chosen.
    pub(super) fn name(&self) -> Option<&'static str> {
        match (self.plain, self.tcp, self.is_empty()) {
            (true, ..) => Some("HTTP"),
            (_, true, _) => Some("TCP"),
            (false, false, true) => None,
            (false, false, false) => Some("HTTPS"),
        }
    }

    /// Returns the certificate that was given.
    pub(super) async fn certificates(
        &self,
        connection: &Connection,
    ) -> Result<Vec<Certificate>, Error> {
        match &self.certificate {
            Some(name) => Ok(vec![certificate(connection, name).await?]),
            None => Ok(Vec::new()),
        }
    }

    /// Returns what was said of clients' certificates.
    pub(super) fn mutual_authentication(
        &self,
    ) -> Result<Option<MutualAuthenticationAttributes>, Error> {
        let client_authority = match &self.client_authority {
            Some(file) => Some(input::read_text(file)?),
            None if self.no_client_authority => None,
            None => return Ok(None),
        };
        let mode = if client_authority.is_some() {
            "verify"
        } else {
            "off"
        };
        Ok(Some(MutualAuthenticationAttributes {
            mode: Some(mode.to_owned()),
            client_authority,
        }))
    }
}

/// Names a certificate.
pub(super) async fn certificate(connection: &Connection, name: &str) -> Result<Certificate, Error> {
    Ok(Certificate {
        certificate_arn: Some(name::certificate(connection, name).await?),
        is_default: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_makes_it_https_and_nothing_says_nothing() {
        let nothing = Args::default();
        assert_eq!((nothing.name(), nothing.is_empty()), (None, true));
        let secure = Args {
            certificate: Some("a.example".into()),
            ..Args::default()
        };
        assert_eq!(secure.name(), Some("HTTPS"));
        assert_eq!(secure.mutual_authentication().unwrap(), None);
        let plain = Args {
            plain: true,
            ..Args::default()
        };
        assert_eq!(plain.name(), Some("HTTP"));
        let open = Args {
            no_client_authority: true,
            ..Args::default()
        };
        let mode = open.mutual_authentication().unwrap().unwrap().mode;
        assert_eq!(mode.as_deref(), Some("off"));
    }
}
