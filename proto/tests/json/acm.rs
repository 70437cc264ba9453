//! Certificate Manager.

use roadstead_proto::acm;
use serde_json::json;

use crate::is_written_as;

#[test]
fn bytes_are_base64_and_a_private_key_is_not_shown() {
    let request = acm::ImportCertificateRequest {
        certificate_arn: None,
        certificate: Some(b"cert".to_vec()),
        private_key: Some(b"key".to_vec()),
        certificate_chain: None,
    };
    is_written_as(
        &request,
        &json!({"Certificate": "Y2VydA==", "PrivateKey": "a2V5"}),
    );
    let shown = format!("{request:?}");
    assert!(!shown.contains("107"), "{shown}");
}
