use std::{io, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::ManagementUrl;
use crate::tls::{Trust, server_name};

/// Longest time for one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Why the API cannot be asked; the rest of the checks goes on.
#[derive(Debug, thiserror::Error)]
pub(in crate::doctor) enum ManagementError {
    /// Nobody answers, or not in HTTP.
    #[error("ask the management API at {address} (check RABBITMQ_MANAGEMENT_URL)")]
    Unreachable {
        /// Where; without credentials.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It refuses.
    #[error(
        "ask the management API at {address}: it answers {status} to {user:?}; that needs the tag \
         monitoring: rabbitmqctl set_user_tags {user} monitoring"
    )]
    Refused {
        /// Where; without credentials.
        address: String,
        /// The HTTP status.
        status: StatusCode,
        /// Who asked.
        user: String,
    },
}

/// One question and its answer, on a connection of its own.
pub(super) async fn get<T: DeserializeOwned>(
    url: &ManagementUrl,
    path: &str,
) -> Result<T, ManagementError> {
    let unreachable = |source| ManagementError::Unreachable {
        address: url.to_string(),
        source,
    };
    let asked = timeout(PATIENCE, fetch(url, path)).await;
    let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let (status, body) = asked.map_err(unreachable)?;
    if status != StatusCode::OK {
        return Err(ManagementError::Refused {
            address: url.to_string(),
            status,
            user: url.user().to_owned(),
        });
    }
    serde_json::from_slice(&body).map_err(|error| unreachable(error.into()))
}

async fn fetch(url: &ManagementUrl, path: &str) -> io::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    let Some(certificates) = url.certificates() else {
        return talk(stream, url, path).await;
    };
    let client = certificates.client(Trust::Host).map_err(io::Error::other)?;
    let name = server_name(url.host()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(client));
    talk(connector.connect(name, stream).await?, url, path).await
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &ManagementUrl,
    path: &str,
) -> io::Result<(StatusCode, Bytes)> {
    let io = TokioIo::new(stream);
    let (mut sender, connection) = http1::handshake(io).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let login = STANDARD.encode(format!("{}:{}", url.user(), url.password().reveal()));
    let request = Request::get(format!("{}{path}", url.prefix()))
        .header(header::HOST, url.host())
        .header(header::AUTHORIZATION, format!("Basic {login}"))
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
        .collect()
        .await;
    connection.abort();
    Ok((status, body.map_err(io::Error::other)?.to_bytes()))
}

/// A name as one part of a path. Source: RFC 3986, 2.3.
pub(super) fn encode(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_part_of_a_path() {
        assert_eq!(encode("/"), "%2F");
        assert_eq!(encode("a b.c-ä"), "a%20b.c-%C3%A4");
    }
}
