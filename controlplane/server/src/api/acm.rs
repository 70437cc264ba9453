//! AWS Certificate Manager over gRPC: each operation and the handler that carries it out.

use roadstead_proto::acm as wire;

use super::{certificate, operations};

operations! {
    /// Serves the operations of AWS Certificate Manager.
    Acm as acm_server::Acm {
        import_certificate: ImportCertificateRequest => ImportCertificateResponse, certificate::import,
        describe_certificate: DescribeCertificateRequest => DescribeCertificateResponse, certificate::describe,
        list_certificates: ListCertificatesRequest => ListCertificatesResponse, certificate::list,
        delete_certificate: DeleteCertificateRequest => DeleteCertificateResponse, certificate::delete,
    }
}
