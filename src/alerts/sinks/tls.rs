//! What is trusted of a TLS server: the system's authorities, or those of one file and no other.

use std::path::Path;
use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::Failure;

/// Settings of a client that trusts the authorities in `ca_file`, else the system's. Reads files: off the runtime.
pub(super) fn client(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| Failure::later(format!("TLS can't be had: {e}")))?;
    if let Some(file) = ca_file {
        return Ok(builder.with_root_certificates(roots(file)?).with_no_client_auth());
    }
    let verifier = Verifier::new(provider)
        .map_err(|e| Failure::later(format!("the system's certificate authorities can't be had: {e}")))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Settings of a client that trusts nobody: for those who never speak TLS and need the settings all the same.
pub(super) fn nobody() -> Result<ClientConfig, Failure> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| Failure::later(format!("TLS can't be had: {e}")))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn roots(file: &Path) -> Result<RootCertStore, Failure> {
    let failed = |why: String| Failure::later(format!("ca-file {}: {why}", file.display()));
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| failed(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|e| failed(e.to_string()))?;
        roots.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if roots.is_empty() { Err(failed("there is no certificate in it".to_owned())) } else { Ok(roots) }
}
