use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};
use url::{Host, Url};

use crate::secret::Secret;

/// Largest AMQP frame that the relay agrees to, in bytes; lapin keeps 32 of them for each
/// direction, and a larger event travels in several.
const FRAME_MAX: u32 = 32 * 1024;

/// Seconds between heartbeats; a peer that misses two counts as dead.
const HEARTBEAT: u16 = 10;

/// Options of the URL that lapin heeds.
const OPTIONS: [&str; 4] = ["frame_max", "channel_max", "heartbeat", "auth_mechanism"];

/// Where the broker is and who asks. Printing it shows neither user nor password.
#[derive(Clone)]
pub struct BrokerUrl {
    uri: AMQPUri,
}

/// What is wrong with the URL. The URL itself is never repeated, since it holds a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Not of the form that AMQP URIs have.
    #[error("not of the form amqp://user:password@host:port/vhost (escape / and @ as %2f and %40)")]
    Form,
    /// Only a virtual host whose name is empty is left out by a final slash.
    #[error(
        "an URL that ends with / means the virtual host \"\"; write %2f for the virtual host /"
    )]
    EmptyVirtualHost,
    /// No host.
    #[error("it names no host: amqp://user:password@host:port/vhost")]
    Host,
    /// An option behind the question mark that the relay would not heed.
    #[error(
        "it has an option that is none of frame_max, channel_max, heartbeat and auth_mechanism; \
         certificates are named by RABBITMQ_CACERT, RABBITMQ_CERT and RABBITMQ_KEY"
    )]
    Option,
}

impl BrokerUrl {
    /// Reads an URL; options in its query that concern the connection keep their meaning.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it.
    pub fn parse(url: &Secret) -> Result<Self, UrlFault> {
        let text = url.reveal().trim();
        let mut uri: AMQPUri = text.parse().map_err(|_| UrlFault::Form)?;
        if uri.vhost.is_empty() {
            return Err(UrlFault::EmptyVirtualHost);
        }
        // The parser of AMQP URIs takes "localhost" for what it does not understand.
        let parts = Url::parse(text).map_err(|_| UrlFault::Form)?;
        match parts.host() {
            Some(Host::Domain(name)) if !name.is_empty() => {}
            Some(Host::Ipv4(_)) => {}
            Some(Host::Ipv6(address)) => uri.authority.host = address.to_string(),
            Some(Host::Domain(_)) | None => return Err(UrlFault::Host),
        }
        if parts
            .query_pairs()
            .any(|(name, _)| !OPTIONS.contains(&&*name))
        {
            return Err(UrlFault::Option);
        }
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(Self { uri })
    }

    /// The URL for lapin; never to be printed.
    pub fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    /// Whether it asks for TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.uri.scheme, AMQPScheme::AMQPS)
    }

    /// Host name or address.
    pub fn host(&self) -> &str {
        &self.uri.authority.host
    }

    /// The virtual host.
    pub fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    /// User and password.
    pub(crate) fn login(&self) -> (String, Secret) {
        let login = &self.uri.authority.userinfo;
        (login.username.clone(), Secret::new(&login.password))
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.uri.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        let (host, port) = (&self.uri.authority.host, self.uri.authority.port);
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<BrokerUrl, UrlFault> {
        BrokerUrl::parse(&Secret::new(url))
    }

    #[test]
    fn password_and_user_are_not_printed() {
        let url = parse("amqps://relay:canary@broker.example/shop").expect("valid");
        assert_eq!(format!("{url} {url:?}").matches("canary").count(), 0);
        assert_eq!(url.to_string(), "amqps://broker.example:5671");
        assert_eq!((url.user(), url.vhost()), ("relay", "shop"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert_eq!(parse("http://h").err(), Some(UrlFault::Form));
        assert_eq!(parse("nothing").err(), Some(UrlFault::Form));
        assert_eq!(parse("amqp://h/").err(), Some(UrlFault::EmptyVirtualHost));
        assert_eq!(parse("amqp://u:p@/%2f").err(), Some(UrlFault::Form));
        assert_eq!(parse("amqp:///%2f").err(), Some(UrlFault::Host));
        for option in ["verify=verify_none", "connection_timeout=1", "canary"] {
            let fault = parse(&format!("amqps://h/%2f?heartbeat=5&{option}")).err();
            assert_eq!(fault, Some(UrlFault::Option));
        }
        assert_eq!(
            parse("amqp://h").map(|url| url.vhost().to_owned()),
            Ok("/".to_owned())
        );
    }

    #[test]
    fn an_address_in_brackets_is_the_host_whatever_stands_before_it() {
        for login in ["", "u:p@", "u:localhostpw@", "localhost_app:%5B::1%5D@"] {
            let url = parse(&format!("amqp://{login}[2001:db8::1]:5673/%2f")).expect("valid");
            assert_eq!(url.host(), "2001:db8::1", "{login}");
            assert_eq!(url.to_string(), "amqp://[2001:db8::1]:5673");
        }
    }
}
