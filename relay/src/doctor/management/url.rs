use std::{borrow::Cow, fmt, net::IpAddr};

use hyper::Uri;
use percent_encoding::percent_decode_str;

use crate::{
    secret::Secret,
    sink::amqp::{Broker, BrokerUrl},
    tls::Certificates,
};

/// Where RabbitMQ's management API is, and who asks. Printing it shows neither user nor password.
#[derive(Clone)]
pub struct ManagementUrl {
    host: String,
    port: u16,
    /// Path before `/api`, without a slash at its end.
    prefix: String,
    user: String,
    password: Secret,
    certificates: Option<Certificates>,
}

/// The URL cannot be used; it is not repeated, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManagementUrlFault {
    /// Not of the form that it should have.
    #[error(
        "RABBITMQ_MANAGEMENT_URL is not of the form http://host:15672, https://host:15671 or \
         http://user:password@host:15672"
    )]
    Form,
    /// The login of the broker's URL would leave this machine in clear text, for a place that does
    /// not know it yet.
    #[error(
        "RABBITMQ_MANAGEMENT_URL begins with http:// and has no login, so that of RABBITMQ_URL would \
         travel without encryption: use https://, or give a login of its own, \
         http://user:password@host:15672"
    )]
    PlainLogin,
}

impl ManagementUrl {
    /// Reads `http://host:port` or `https://host:port`, with `user:password@` before the host or,
    /// without it, the login of the broker's URL. Whom to trust is what was said about the broker.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it.
    pub fn parse(url: &Secret, broker: &Broker) -> Result<Self, ManagementUrlFault> {
        let uri: Uri = url
            .reveal()
            .trim()
            .parse()
            .map_err(|_| ManagementUrlFault::Form)?;
        let Some(authority) = uri.authority() else {
            return Err(ManagementUrlFault::Form);
        };
        // The ports are those that RabbitMQ's plugin has by default.
        let (port, certificates) = match uri.scheme_str() {
            Some("http") => (15_672, None),
            Some("https") => (15_671, Some(broker.certificates.clone())),
            Some(_) | None => return Err(ManagementUrlFault::Form),
        };
        // The brackets of an IPv6 address belong to the URL.
        let host = authority.host().trim_matches(['[', ']']);
        let (user, password) = match authority.as_str().rsplit_once('@') {
            Some((login, _)) => {
                let (user, password) = login.split_once(':').ok_or(ManagementUrlFault::Form)?;
                let user = decoded(user)?;
                (user.into_owned(), Secret::new(decoded(password)?))
            }
            None if certificates.is_none() && !knows_login(host, &broker.url) => {
                return Err(ManagementUrlFault::PlainLogin);
            }
            None => broker.url.login(),
        };
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(port),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            user,
            password,
            certificates,
        })
    }

    /// Host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path before `/api`; empty, or without a slash at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// Whom to trust; `None`: the connection is not encrypted.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }
}

/// Whether the broker's login may go to a host without encryption: it stays on this machine, or
/// goes to that host so anyway.
fn knows_login(host: &str, broker: &BrokerUrl) -> bool {
    let local = match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    local || (!broker.is_encrypted() && broker.host().eq_ignore_ascii_case(host))
}

/// A part of a URL without its escapes (RFC 3986, section 2.1).
fn decoded(part: &str) -> Result<Cow<'_, str>, ManagementUrlFault> {
    let bytes = percent_decode_str(part);
    bytes.decode_utf8().map_err(|_| ManagementUrlFault::Form)
}

impl fmt::Display for ManagementUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.certificates {
            Some(_) => "https",
            None => "http",
        };
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, self.prefix)
    }
}

impl fmt::Debug for ManagementUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<ManagementUrl, ManagementUrlFault> {
        parse_beside("amqp://relay:broker-canary@h/%2f", url)
    }

    fn parse_beside(broker: &str, url: &str) -> Result<ManagementUrl, ManagementUrlFault> {
        let broker = BrokerUrl::parse(&Secret::new(broker));
        let broker = Broker {
            url: broker.expect("valid"),
            url_file: None,
            exchange: "shop".to_owned(),
            certificates: Certificates::default(),
        };
        ManagementUrl::parse(&Secret::new(url), &broker)
    }

    #[test]
    fn the_login_is_that_of_the_broker_unless_it_has_its_own() {
        let url = parse("http://h/mq/").expect("valid");
        assert_eq!((url.host(), url.port()), ("h", 15_672));
        assert_eq!(url.prefix(), "/mq");
        assert_eq!(
            (url.user(), url.password().reveal()),
            ("relay", "broker-canary")
        );
        let url = parse("http://look:other-canary@h:80").expect("valid");
        assert_eq!(
            (url.user(), url.password().reveal()),
            ("look", "other-canary")
        );
        assert_eq!(url.prefix(), "");
        assert!(!format!("{url} {url:?}").contains("canary"));
        let url = parse("https://h").expect("valid");
        assert_eq!((url.port(), url.certificates().is_some()), (15_671, true));
    }

    #[test]
    fn escapes_and_brackets_belong_to_the_url() {
        let url = parse("http://lo%40ok:p%2Fw%3A@[::1]:80").expect("valid");
        assert_eq!((url.user(), url.password().reveal()), ("lo@ok", "p/w:"));
        assert_eq!(url.host(), "::1");
    }

    #[test]
    fn a_refusal_does_not_repeat_the_url() {
        for url in ["", "h:15672", "ftp://u:canary@h", "http://canary@h"] {
            let refusal = parse(url).expect_err(url).to_string();
            assert!(!refusal.contains("canary"), "{refusal}");
        }
    }

    #[test]
    fn the_brokers_login_goes_nowhere_in_clear_text_where_it_is_not_known() {
        let (plain, encrypted) = ("amqp://u:canary@h", "amqps://u:canary@h");
        for (broker, url) in [
            (plain, "http://other"),
            (plain, "http://10.0.0.1:15672"),
            (encrypted, "http://h"),
            (encrypted, "http://localhost.example"),
        ] {
            let refusal = parse_beside(broker, url).expect_err(url);
            assert_eq!(refusal, ManagementUrlFault::PlainLogin, "{url}");
            assert!(!refusal.to_string().contains("canary"));
        }
        for (broker, url) in [
            (plain, "http://H"),
            (encrypted, "http://localhost"),
            (encrypted, "http://127.0.0.2"),
            (encrypted, "http://[::1]:15672"),
            (encrypted, "https://other"),
            (encrypted, "http://look:x@other"),
        ] {
            parse_beside(broker, url).expect(url);
        }
    }
}
