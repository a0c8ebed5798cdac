//! What is asked of a client's certificate.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::san::{self, San};

/// Asks for a certificate, and maybe for who signed it and what it is called.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    /// Asks who signed; nobody does if there is none.
    pub(super) inner: Option<Arc<dyn ClientCertVerifier>>,
    pub(super) is_required: bool,
    pub(super) sans: Option<Sans>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// The names that may come in.
#[derive(Debug)]
pub(super) struct Sans(Vec<(String, Option<IpAddr>)>);

impl Sans {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names.into_iter().map(|name| (name.parse().ok(), name)).map(|(a, b)| (b, a)).collect())
    }

    fn has(&self, san: &San<'_>) -> bool {
        self.0.iter().any(|(name, address)| match san {
            San::Text(text) => name.as_bytes() == *text,
            San::Address(own) => *address == Some(*own),
        })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.as_ref().map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if let Some(inner) = &self.inner {
            inner.verify_client_cert(end_entity, intermediates, now)?;
        }
        if let Some(sans) = &self.sans {
            let found = san::of_certificate(end_entity).ok_or(CertificateError::BadEncoding)?;
            if !found.iter().any(|san| sans.has(san)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    // Whoever signed the certificate, a client has to have its key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
