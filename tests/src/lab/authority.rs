//! Certificates of one test: right ones, and every kind of wrong one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pgevents_servers::Certified;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// A certificate authority that lives for one test, with the files that clients of it read.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// A new authority that nobody trusts yet.
    ///
    /// # Panics
    ///
    /// When the machine has no randomness or no room for files.
    pub fn new(name: &str) -> Self {
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(parameters, key()).expect("sign a certificate");
        let folder = tempfile::tempdir().expect("make a folder");
        fs::write(folder.path().join("authority.pem"), issuer.pem()).expect("write it");
        Self { issuer, folder }
    }

    /// Its own certificate in PEM form.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// A certificate of a server with these names or addresses.
    pub fn server(&self, hosts: &[&str]) -> Certified {
        let mut parameters = parameters("server", hosts);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&parameters)
    }

    /// The same, past its end.
    pub fn expired_server(&self, hosts: &[&str]) -> Certified {
        let mut parameters = parameters("server", hosts);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
        self.sign(&parameters)
    }

    /// A certificate of a client; its files are `NAME.pem` and `NAME.key`.
    pub fn client(&self, name: &str) -> ClientFiles {
        let mut parameters = parameters(name, &[]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let made = self.sign(&parameters);
        let file = |kind: &str| self.folder.path().join(format!("{name}.{kind}"));
        let (certificate, key) = (file("pem"), file("key"));
        write(&certificate, &made.certificate);
        write(&key, &made.key);
        ClientFiles { certificate, key }
    }

    fn sign(&self, parameters: &CertificateParams) -> Certified {
        let key = key();
        let certificate = parameters.signed_by(&key, &self.issuer);
        Certified {
            certificate: certificate.expect("sign a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The files of a client's certificate.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

fn key() -> KeyPair {
    KeyPair::generate().expect("make a key")
}

fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("hosts that a certificate can name");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn write(file: &Path, text: &str) {
    let written = fs::write(file, text);
    // A key that others may read is refused.
    let kept = written.and_then(|()| fs::set_permissions(file, Permissions::from_mode(0o600)));
    kept.unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
}
