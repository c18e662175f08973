use std::{fs, io, sync::Arc};

use ring::digest;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
        SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{
            CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature,
        },
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::config::{Postgres, TlsMode};

/// A connector that checks the server as `PGSSLMODE` says.
pub(super) fn connector(config: &Postgres) -> io::Result<TlsConnector> {
    let crypto = Arc::new(provider::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let check = match (config.tls, &config.root_certificates) {
        (TlsMode::VerifyFull, _) => {
            let roots = roots(config)?;
            let client = builder.with_root_certificates(roots).with_no_client_auth();
            return Ok(TlsConnector::from(Arc::new(client)));
        }
        // As libpq does it: with a file of authorities, `require` checks against them.
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Some(_)) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(config)?),
                Arc::clone(&crypto),
            );
            Check::Authority(verifier.build().map_err(io::Error::other)?)
        }
        (TlsMode::Require, None) | (TlsMode::Prefer | TlsMode::Disable, _) => Check::Nothing,
    };
    let client = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { check, crypto }))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(client)))
}

/// The host as rustls wants it.
pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "PGHOST is no valid host name"))
}

/// Hash of a certificate by the algorithm of its signature, at least SHA-256 (RFC 5929, 4.1).
pub(super) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, .. } }
    let (_, body, _) = der(certificate)?;
    let (_, _, after_tbs) = der(body)?;
    let (_, algorithm, _) = der(after_tbs)?;
    let (0x06, oid, _) = der(algorithm)? else {
        return None;
    };
    let algorithm = match oid {
        // 1.2.840.113549.1.1.x, RSA with MD5, SHA-1 (both: SHA-256 instead), 256, 384, 512
        [
            0x2a,
            0x86,
            0x48,
            0x86,
            0xf7,
            0x0d,
            0x01,
            0x01,
            0x04 | 0x05 | 0x0b,
        ] => &digest::SHA256,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => &digest::SHA512,
        // 1.2.840.10045.4.x, ECDSA with SHA-1 (SHA-256 instead), 256, 384, 512
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => &digest::SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Tag, content and what follows of one DER element.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn roots(config: &Postgres) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let found: Vec<CertificateDer<'static>> = match &config.root_certificates {
        Some(path) => CertificateDer::pem_slice_iter(&fs::read(path)?)
            .collect::<Result<_, _>>()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(found);
    if roots.is_empty() {
        let text = "no certificate authority found: name a file with PGSSLROOTCERT";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(roots)
}

/// Checks a certificate less strictly than rustls does by itself.
#[derive(Debug)]
struct Verifier {
    check: Check,
    crypto: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Check {
    /// Encryption only.
    Nothing,
    /// A known authority has to have signed it, for whatever name.
    Authority(Arc<WebPkiServerVerifier>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Check::Authority(verifier) = &self.check else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last, so these two errors mean that all else is right.
        match verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.crypto.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.crypto
            .signature_verification_algorithms
            .supported_schemes()
    }
}
