use std::{error::Error, io, path::PathBuf};

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// Why there is no TLS with a server. None of it changes by itself, so the relay stops: exit code
/// 2.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or a key cannot be read.
    #[error("read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there, and holds something else.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file is there, and holds no key that can be used.
    #[error("{path} holds no private key in PEM form, or one with a passphrase")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The system has no list of authorities, as in a bare container, and no file is named.
    #[error("this system knows no certificate authority: name a file of them")]
    NoAuthority,
    /// Key and certificate are not a pair, or of a kind that is not supported.
    #[error("use the key {key} with the certificate {certificate}")]
    Identity {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// No certificate can be for this host.
    #[error("{0:?} is no valid host name")]
    Host(String),
    /// PostgreSQL answered that it does not do TLS.
    #[error("the server does not offer TLS and PGSSLMODE asks for it")]
    NotOffered,
    /// The two sides do not agree.
    #[error("{reason}")]
    Handshake {
        /// What that means for an operator.
        reason: &'static str,
        /// The library's words.
        source: rustls::Error,
    },
}

impl TlsError {
    /// What a failed handshake means.
    pub fn of(source: rustls::Error) -> Self {
        let reason = match &source {
            rustls::Error::InvalidCertificate(fault) => certificate(fault),
            rustls::Error::AlertReceived(alert) => refusal(*alert),
            _ => "the server does not agree on how to encrypt",
        };
        Self::Handshake { reason, source }
    }

    /// The failed handshake among the causes of an error, if that is what it is: TLS 1.3 tells a
    /// client only after its handshake that its certificate is refused, as the error of a read.
    pub fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(fault) = error.downcast_ref::<rustls::Error>() {
                return Some(Self::of(fault.clone()));
            }
            // An I/O error passes over what it holds when it is asked for its source.
            let held = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            cause = match held {
                Some(held) => Some(held),
                None => error.source(),
            };
        }
        None
    }
}

fn certificate(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::UnknownIssuer => {
            "no authority that the relay trusts has signed the server's certificate"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet (are the clocks right?)"
        }
        CertificateError::Revoked => "the server's certificate was revoked",
        _ => "the server's certificate cannot be accepted",
    }
}

fn refusal(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "the server asks for a client certificate",
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "the server does not accept the client certificate",
        _ => "the server ends the handshake",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Chain;

    #[test]
    fn a_refusal_is_found_below_an_error_of_a_read() {
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
        let read = io::Error::new(io::ErrorKind::InvalidData, alert);
        let outer = io::Error::other(read);
        let found = TlsError::among(&outer).expect("found");
        let text = Chain(&found).to_string();
        assert!(
            text.starts_with("the server asks for a client certificate: "),
            "{text}"
        );
        assert!(TlsError::among(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
    }
}
