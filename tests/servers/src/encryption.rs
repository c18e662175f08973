/// A certificate with its private key, both in PEM form.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
}

/// Whose certificate a private server shows, and whose certificates it accepts from clients.
#[derive(Clone, Copy, Debug)]
pub struct Encryption<'a> {
    /// The server's own certificate.
    pub server: &'a Certified,
    /// The certificate, in PEM form, of who has to have signed those of clients.
    pub clients: &'a str,
    /// Whether a client without a certificate is refused.
    pub clients_must: bool,
}
