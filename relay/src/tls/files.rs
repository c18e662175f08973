use std::{fs, path::Path};

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{Certificates, Identity, TlsError};

/// The authorities to trust.
pub(super) fn authorities(files: &Certificates) -> Result<RootCertStore, TlsError> {
    let found = match &files.authorities {
        Some(path) => certificates(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found);
    match (roots.is_empty(), &files.authorities) {
        (false, _) => Ok(roots),
        (true, Some(path)) => Err(TlsError::NoCertificate { path: path.clone() }),
        (true, None) => Err(TlsError::NoAuthority),
    }
}

/// A client certificate, with those between it and its authority, and its key.
pub(super) fn identity(
    files: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?);
    let key = key.map_err(|_| TlsError::NoKey {
        path: files.key.clone(),
    })?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate { path: path.into() }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File {
        path: path.into(),
        source,
    })
}
