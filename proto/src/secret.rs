//! Messages with private keys, which must never come into a log: they show only what names them.

use std::fmt;

impl fmt::Debug for crate::acm::ImportCertificateRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ImportCertificateRequest")
            .field("certificate_arn", &self.certificate_arn)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for crate::lb::Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Certificate")
            .field("certificate_arn", &self.certificate_arn)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for crate::raft::KeepSealingKeyRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KeepSealingKeyRequest")
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for crate::raft::GetSealingKeyResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GetSealingKeyResponse")
            .finish_non_exhaustive()
    }
}
