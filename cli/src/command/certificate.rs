//! `ctl certificate`

use clap::Subcommand;
use roadstead_client::proto::acm::{
    CertificateSummary, DeleteCertificateRequest, DescribeCertificateRequest,
    ImportCertificateRequest, ListCertificatesRequest, ListCertificatesResponse,
};

use super::name;
use crate::connection::{Connection, every_page};
use crate::error::Error;
use crate::{input, output};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring a certificate for HTTPS listeners, or a new one in the place of an old one.
    Import {
        /// PEM file with the certificate alone, or with its chain behind it.
        #[arg(long, value_name = "FILE")]
        certificate: String,
        /// PEM file with the private key; it is kept encrypted, and never shown again.
        #[arg(long, value_name = "FILE")]
        private_key: String,
        /// PEM file with the certificates between this one and its authority.
        #[arg(long, value_name = "FILE")]
        chain: Option<String>,
        /// The certificate that it replaces: listeners use the new one at once, open connections stay.
        #[arg(long, value_name = "CERTIFICATE")]
        replace: Option<String>,
    },
    /// List the certificates.
    List,
    /// Show a certificate, and the listeners that use it.
    Describe {
        /// ARN or domain name.
        certificate: String,
    },
    /// Delete a certificate that no listener uses.
    Delete {
        /// ARN or domain name.
        certificate: String,
    },
}

pub(super) async fn run(command: Command, connection: &Connection) -> Result<(), Error> {
    match command {
        Command::Import {
            certificate,
            private_key,
            chain,
            replace,
        } => {
            let pem = input::read_text(&certificate)?;
            let (own, mut rest) = split(&pem);
            if let Some(chain) = chain {
                rest.push_str(&input::read_text(&chain)?);
            }
            let certificate_arn = match replace {
                Some(replaced) => Some(name::certificate(connection, &replaced).await?),
                None => None,
            };
            let request = ImportCertificateRequest {
                certificate_arn,
                certificate: Some(own.into_bytes()),
                private_key: Some(input::read_text(&private_key)?.into_bytes()),
                certificate_chain: (!rest.is_empty()).then(|| rest.into_bytes()),
            };
            let response = connection
                .acm(async |mut acm| acm.import_certificate(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                response.certificate_arn.clone().unwrap_or_default()
            })
        }
        Command::List => {
            let certificate_summary_list = list(connection).await?;
            let all = ListCertificatesResponse {
                certificate_summary_list,
                next_token: None,
            };
            connection.show(&all, |all| {
                output::certificate::list(&all.certificate_summary_list)
            })
        }
        Command::Describe { certificate } => {
            let request = DescribeCertificateRequest {
                certificate_arn: Some(name::certificate(connection, &certificate).await?),
            };
            let response = connection
                .acm(async |mut acm| acm.describe_certificate(request.clone()).await)
                .await?;
            connection.show(&response, |response| {
                output::certificate::detail(response.certificate.as_ref())
            })
        }
        Command::Delete { certificate } => {
            let request = DeleteCertificateRequest {
                certificate_arn: Some(name::certificate(connection, &certificate).await?),
            };
            let response = connection
                .acm(async |mut acm| acm.delete_certificate(request.clone()).await)
                .await?;
            connection.show(&response, |_| {
                format!("certificate {certificate} is deleted")
            })
        }
    }
}

/// Returns every certificate.
pub(super) async fn list(connection: &Connection) -> Result<Vec<CertificateSummary>, Error> {
    every_page(async |next_token| {
        let request = ListCertificatesRequest {
            next_token,
            max_items: None,
        };
        let page = connection
            .acm(async |mut acm| acm.list_certificates(request.clone()).await)
            .await?;
        Ok((page.certificate_summary_list, page.next_token))
    })
    .await
}

/// Splits the first certificate from those behind it: authorities hand out files with the whole chain.
fn split(pem: &str) -> (String, String) {
    const END: &str = "-----END CERTIFICATE-----";
    match pem.find(END) {
        Some(end) => {
            let (own, rest) = pem.split_at(end + END.len());
            let rest = rest.trim_start();
            (format!("{own}\n"), rest.to_owned())
        }
        None => (pem.to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_the_whole_chain_is_split_after_the_first_certificate() {
        let block = |name: &str| {
            format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
        };
        let (own, rest) = split(&format!("{}{}", block("leaf"), block("ca")));
        assert_eq!((own, rest), (block("leaf"), block("ca")));
        assert_eq!(split(&block("leaf")), (block("leaf"), String::new()));
        assert_eq!(split("no PEM"), ("no PEM".to_owned(), String::new()));
    }
}
