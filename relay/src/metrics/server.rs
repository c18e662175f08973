use std::{
    collections::VecDeque, convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tracing::{debug, info};

use super::{Board, Page, Readiness, page::MEDIA_TYPE};

/// Connections at a time; for one more the oldest is given up, so that those that say nothing keep
/// nobody from being answered.
const CONNECTIONS: usize = 16;

/// Longest time for one question and its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Memory for the head of a question in bytes.
const LONGEST_HEAD: usize = 16 * 1024;

/// Pause after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// The address cannot be listened at; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("listen at {address} (--metrics-listen): choose another address or end who has it")]
pub struct MetricsError {
    /// The address asked for.
    address: SocketAddr,
    /// Why.
    source: io::Error,
}

/// Starts to listen; port 0 takes a free one, which the log names.
///
/// # Errors
///
/// The address is in use or not of this machine.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, MetricsError> {
    let failed = |source| MetricsError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    info!(address = %bound, "serving /metrics, /livez and /readyz");
    Ok(listener)
}

/// Answers questions for as long as the process lives: one a connection, over HTTP/1.
pub async fn serve(listener: TcpListener, board: Board, page: Page) {
    let page = Arc::new(page);
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("accept a connection of monitoring: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (board, page) = (board.clone(), Arc::clone(&page));
        let talking = async move {
            if timeout(PATIENCE, talk(stream, &board, &page))
                .await
                .is_err()
            {
                debug!("a connection of monitoring took too long");
            }
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(talking));
    }
}

async fn talk(stream: TcpStream, board: &Board, page: &Page) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), board, page);
        async move { Ok::<_, Infallible>(answer) }
    });
    let talked = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = talked.await {
        debug!("answer monitoring: {error}");
    }
}

/// Source of the codes: RFC 9110; probes count 200 to 399 as success.
fn answer(method: &Method, path: &str, board: &Board, page: &Page) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, kind, body) = match path {
        _ if method != Method::GET && method != Method::HEAD => {
            let refusal = "only GET and HEAD\n".to_owned();
            let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, refusal);
            let headers = refused.headers_mut();
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        "/metrics" => (StatusCode::OK, MEDIA_TYPE, page.text()),
        // The one thread that does the work also answers here, so a loop that hangs does not.
        "/livez" => (StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => match Readiness::of(&board.read(), std::time::Instant::now()) {
            Readiness::Ready(what) => (StatusCode::OK, TEXT, format!("{what}\n")),
            Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
        },
        _ => {
            let known = "there are /metrics, /livez and /readyz\n".to_owned();
            (StatusCode::NOT_FOUND, TEXT, known)
        }
    };
    respond(status, kind, body)
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::Identity, phase::Phase};

    fn status(method: Method, path: &str, board: &Board) -> u16 {
        let page = Page::new(board.clone(), Identity::default());
        answer(&method, path, board, &page).status().as_u16()
    }

    #[test]
    fn questions_have_answers_that_probes_understand() {
        let board = Board::default();
        assert_eq!(status(Method::GET, "/livez", &board), 200);
        assert_eq!(status(Method::GET, "/readyz", &board), 503);
        board.enter(Phase::Standby);
        assert_eq!(status(Method::HEAD, "/readyz", &board), 200);
        assert_eq!(status(Method::GET, "/", &board), 404);
        assert_eq!(status(Method::POST, "/metrics", &board), 405);
    }
}
