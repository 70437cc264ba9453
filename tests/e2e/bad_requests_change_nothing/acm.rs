//! Bad requests to the operations of Certificate Manager, and those of listeners that have certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::{Case, merge, refused};

const INVALID: &str = "ValidationError";
const NOT_FOUND: &str = "CertificateNotFound";

pub(crate) fn cases(fixture: &Fixture) -> Vec<Case> {
    let mut cases = certificates(fixture);
    cases.extend(listeners(fixture));
    cases
}

fn certificates(fixture: &Fixture) -> Vec<Case> {
    let base64 = |text: &str| STANDARD.encode(text);
    let (own, key) = (&fixture.shop.certificate, &fixture.shop.private_key);
    let import = |change: Value, exception, names| {
        let mut request = json!({"Certificate": base64(own), "PrivateKey": base64(key)});
        merge(&mut request, change);
        refused("ImportCertificate", request, exception, names)
    };
    let both = format!("{own}{own}");
    let unknown = || json!({"CertificateArn": unknown()});
    vec![
        import(
            json!({"Certificate": base64("no")}),
            INVALID,
            "BEGIN CERTIFICATE",
        ),
        import(
            json!({"Certificate": ""}),
            INVALID,
            "certificate is missing",
        ),
        import(
            json!({"Certificate": base64(&both)}),
            INVALID,
            "certificate chain",
        ),
        import(json!({"PrivateKey": base64("no")}), INVALID, "private key"),
        import(
            json!({"PrivateKey": base64(&fixture.other_key)}),
            INVALID,
            "does not belong",
        ),
        import(
            json!({"CertificateChain": base64(own)}),
            INVALID,
            "not issued by the next",
        ),
        import(unknown(), NOT_FOUND, "not found"),
        import(
            json!({"CertificateArn": "shop"}),
            NOT_FOUND,
            "certificateArn",
        ),
        refused("DescribeCertificate", unknown(), NOT_FOUND, "not found"),
        refused("DescribeCertificate", json!({}), INVALID, "certificateArn"),
        refused(
            "ListCertificates",
            json!({"NextToken": "x"}),
            "InvalidParameterException",
            "token",
        ),
        refused("DeleteCertificate", unknown(), NOT_FOUND, "not found"),
        refused(
            "DeleteCertificate",
            json!({"CertificateArn": fixture.certificate}),
            "ResourceInUse",
            "in use",
        ),
    ]
}

fn listeners(fixture: &Fixture) -> Vec<Case> {
    let create = |change: Value, exception, names| {
        let mut request = json!({
            "LoadBalancerArn": fixture.load_balancer, "Protocol": "HTTPS", "Port": 1,
            "Certificates": [{"CertificateArn": fixture.certificate}],
            "DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}],
        });
        merge(&mut request, change);
        refused("CreateListener", request, exception, names)
    };
    let certificates = json!([{"CertificateArn": unknown()}]);
    let on = |listener: &str, certificates: &Value| json!({"ListenerArn": listener, "Certificates": certificates});
    let own = json!([{"CertificateArn": fixture.certificate}]);
    let (plain, secure) = (&fixture.listener, &fixture.secure_listener);
    let no_listener = "arn:aws:elasticloadbalancing:us-east-1:000000000000:listener/app/web/0/0";
    vec![
        create(json!({"Certificates": []}), NOT_FOUND, "certificate"),
        create(
            json!({"Certificates": certificates}),
            NOT_FOUND,
            "not found",
        ),
        create(json!({"Protocol": "HTTP"}), INVALID, "HTTPS"),
        create(
            json!({"MutualAuthentication": {"Mode": "verify", "ClientAuthority": "no"}}),
            INVALID,
            "clientAuthority",
        ),
        refused(
            "AddListenerCertificates",
            on(secure, &certificates),
            NOT_FOUND,
            "not found",
        ),
        refused("AddListenerCertificates", on(plain, &own), INVALID, "HTTP"),
        refused(
            "RemoveListenerCertificates",
            on(secure, &own),
            "OperationNotPermitted",
            "default",
        ),
        refused(
            "DescribeListenerCertificates",
            json!({"ListenerArn": no_listener}),
            "ListenerNotFound",
            "listener",
        ),
    ]
}

fn unknown() -> String {
    let id = "0123456789abcdef0123456789abcdef";
    format!("arn:aws:acm:us-east-1:000000000000:certificate/{id}")
}
