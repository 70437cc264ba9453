//! What a target is told about the certificate of a client, in ALB's headers ("Mutual authentication with TLS in Application Load
//! Balancer", of verify mode).

use http::{HeaderName, HeaderValue};
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::ServerConnection;
use tracing::debug;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

static SERIAL_NUMBER: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-serial-number");
static ISSUER: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-issuer");
static SUBJECT: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-subject");
static VALIDITY: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-validity");
static LEAF: HeaderName = HeaderName::from_static("x-amzn-mtls-clientcert-leaf");

/// The headers that tell of a client's certificate.
#[derive(Debug)]
pub(crate) struct ClientCertificate(Vec<(HeaderName, HeaderValue)>);

impl ClientCertificate {
    /// Returns what is to be told of the certificate with which a client has shaken hands; `None` without one.
    pub(crate) fn of(session: &ServerConnection) -> Option<Self> {
        let leaf = session.peer_certificates()?.first()?;
        match X509Certificate::from_der(leaf) {
            Ok((_rest, certificate)) => Some(Self::read(&certificate, leaf)),
            Err(error) => {
                // rustls has verified it; the other parser is stricter.
                debug!(
                    error = &error as &dyn std::error::Error,
                    "nothing is told of a client's certificate"
                );
                None
            }
        }
    }

    fn read(certificate: &X509Certificate<'_>, der: &[u8]) -> Self {
        let serial: String = certificate
            .raw_serial()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let validity = certificate.validity();
        let validity = format!(
            "NotBefore={};NotAfter={}",
            time(validity.not_before),
            time(validity.not_after)
        );
        let pem = Pem::new("CERTIFICATE", der);
        let pem = pem::encode_config(&pem, EncodeConfig::new().set_line_ending(LineEnding::LF));
        // Encoded as in URLs; `+`, `=` and `/` stay.
        let leaf = pem.replace(' ', "%20").replace('\n', "%0A");
        let headers = [
            (&SERIAL_NUMBER, serial),
            (&ISSUER, distinguished(certificate.issuer())),
            (&SUBJECT, distinguished(certificate.subject())),
            (&VALIDITY, validity),
            (&LEAF, leaf),
        ];
        let told = headers.into_iter().filter_map(|(name, text)| {
            let value = HeaderValue::try_from(text).ok()?;
            Some((name.clone(), value))
        });
        Self(told.collect())
    }

    pub(crate) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0
    }
}

/// RFC 3339, with seconds.
fn time(time: ASN1Time) -> String {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// RFC 2253: the most specific first.
fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<_> = name
        .iter_attributes()
        .map(|attribute| {
            let key = attribute.attr_type();
            let registry = x509_parser::objects::oid_registry();
            let key = x509_parser::objects::oid2abbrev(key, registry)
                .map_or_else(|_| key.to_id_string(), str::to_owned);
            let value = attribute
                .as_str()
                .map_or_else(|_| hex(attribute.as_slice()), escaped);
            format!("{key}={value}")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("#".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// RFC 2253 2.4; what is no visible ASCII is written as its bytes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for (place, byte) in text.bytes().enumerate() {
        let is_edge = place == 0 || place + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                escaped.extend(['\\', char::from(byte)]);
            }
            b' ' | b'#' if is_edge => escaped.extend(['\\', char::from(byte)]),
            b' '..=b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("\\{other:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};

    use super::*;

    #[test]
    fn a_target_is_told_what_alb_tells() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.serial_number = Some(SerialNumber::from(0x0003_a5b1));
        params.distinguished_name = DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CountryName, "US");
        name.push(DnType::OrganizationName, "Shop, Inc.");
        name.push(DnType::CommonName, "caf\u{e9} client");
        params.not_before = rcgen::date_time_ymd(2023, 9, 21);
        params.not_after = rcgen::date_time_ymd(2024, 9, 20);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let told = ClientCertificate::read(&parsed, certificate.der());
        let texts: Vec<_> = told
            .headers()
            .iter()
            .map(|(_, value)| value.to_str().unwrap())
            .collect();
        let name = "CN=caf\\C3\\A9 client,O=Shop\\, Inc.,C=US";
        assert_eq!(texts[..3], ["03A5B1", name, name]);
        assert_eq!(
            texts[3],
            "NotBefore=2023-09-21T00:00:00Z;NotAfter=2024-09-20T00:00:00Z"
        );
        assert!(
            texts[4].starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"),
            "{}",
            texts[4]
        );
        assert!(
            texts[4].ends_with("-----END%20CERTIFICATE-----%0A"),
            "{}",
            texts[4]
        );
    }
}
