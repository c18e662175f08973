//! TLS to either server: whom to trust, who the relay is, and what a failed handshake means.

mod end_point;
mod error;
mod files;
mod verifier;

use std::{path::PathBuf, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig,
    client::WebPkiServerVerifier,
    crypto::ring as provider,
    pki_types::{InvalidDnsNameError, ServerName},
};

pub use end_point::end_point;
pub use error::TlsError;
use verifier::Encryption;

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: encryption only, which a man in the middle can undo.
    Anyone,
    /// A known authority has to have signed it, for whatever name.
    Authority,
    /// A known authority has to have signed it for this host.
    Host,
}

/// Files of one side's certificates, all in PEM form. They are read again for every connection, so
/// that renewed ones count without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// Certificate authorities to trust; `None`: those of the system.
    pub authorities: Option<PathBuf>,
    /// What the relay shows when it is asked who it is; `None`: nothing.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, without a passphrase.
    pub key: PathBuf,
}

impl Certificates {
    /// How to shake hands with a server.
    ///
    /// # Errors
    ///
    /// A file cannot be used, or there is no authority to trust.
    pub fn client(&self, trust: Trust) -> Result<ClientConfig, TlsError> {
        let crypto = Arc::new(provider::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::of)?;
        let builder = match trust {
            Trust::Host => builder.with_root_certificates(files::authorities(self)?),
            Trust::Authority => {
                let roots = Arc::new(files::authorities(self)?);
                let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&crypto));
                let chain = chain.build().map_err(|_| TlsError::NoAuthority)?;
                let verifier = Encryption::with_authority(chain, crypto);
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
            Trust::Anyone => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Encryption::only(crypto))),
        };
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let (chain, key) = files::identity(identity)?;
        let mismatch = |source| TlsError::Identity {
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
            source,
        };
        builder.with_client_auth_cert(chain, key).map_err(mismatch)
    }
}

/// The host as a certificate would name it.
///
/// # Errors
///
/// It is neither a name nor an address.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = ServerName::try_from(host.to_owned());
    name.map_err(|_: InvalidDnsNameError| TlsError::Host(host.to_owned()))
}
