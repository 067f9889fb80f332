//! One connection from its first byte until it ends or is handed over.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SERVER, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::place::Place;
use super::wire::{Stream, Wire};
use super::{Arrival, Desk, FrontSpec};
use crate::exchange::http::{HttpVersion, RequestHead, WebAnswer, WebRequest};

/// What all visits share.
pub(super) struct House {
    pub(super) desk: Arc<dyn Desk>,
    pub(super) spec: FrontSpec,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) stopping: watch::Receiver<bool>,
}

impl House {
    /// Says that there is no place, where that can be understood. The client may lose it to the reset that closing
    /// with unread bytes causes; waiting for its request would take the place that there is not.
    pub(super) fn turn_away(&self, stream: &TcpStream) {
        if self.tls.is_none() {
            let _ = stream.try_write(
                b"HTTP/1.1 503 Service Unavailable\r\nServer: tickstorm\r\nConnection: close\r\n\
                  Content-Length: 0\r\n\r\n",
            );
        }
    }

    async fn greet(&self, stream: TcpStream) -> io::Result<(Stream, Ends)> {
        stream.set_nodelay(true)?;
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        let ends = |is_tls| Ends { peer, local, is_tls };
        let Some(acceptor) = &self.tls else { return Ok((Stream::Plain(stream), ends(false))) };
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first != TLS_HANDSHAKE {
            return Ok((Stream::Plain(stream), ends(false)));
        }
        let stream = acceptor.accept(stream).await?;
        Ok((Stream::Tls(Box::new(stream)), ends(true)))
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
    is_tls: bool,
}

/// Sees a client through its visit. Errors end the visit and are nobody else's affair.
pub(super) async fn receive(house: Arc<House>, stream: TcpStream, place: Place) {
    let mut stopping = house.stopping.clone();
    let patience = house.spec.handshake_timeout;
    let greeted = tokio::select! {
        greeted = timeout(patience, house.greet(stream)) => greeted,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    let Ok(Ok((stream, ends))) = greeted else { return };

    let admitted = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (house, admitted) = (Arc::clone(&house), Arc::clone(&admitted));
        Box::pin(async move { Ok::<_, Infallible>(serve(&house, ends, request, &admitted).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // As servers have always written them: not every client of an exchange compares names as it should.
        .title_case_headers(true)
        .header_read_timeout(patience)
        .max_header_size(house.spec.max_header)
        // Answers are never cut to fit it; it bounds what is read ahead.
        .max_buf_size(house.spec.max_header.max(LEAST_BUFFER))
        .serve_connection(TokioIo::new(Wire::new(stream, patience)), service);
    let mut told = false;
    let ended = loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
            _ = stopping.wait_for(|stop| *stop), if !told => {
                told = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let wire = parts.io.into_inner();
    let request = admitted.lock().ok().and_then(|mut admitted| admitted.take());
    match request {
        Some(request) if ended.is_ok() => {
            let Ok(transport) = wire.into_transport() else { return };
            let transport = transport.hold(place);
            let arrival = Arrival { transport, early: parts.read_buf.into(), request };
            // A panic costs this client its connection, and the thread's message says why.
            let _ = spawn_blocking(move || house.desk.arrive(arrival)).await;
        }
        _ => {
            let patience = LINGER.min(patience);
            tokio::select! {
                _ = timeout(patience, take_leave(wire)) => {}
                _ = stopping.wait_for(|stop| *stop), if !told => {}
            }
        }
    }
}

/// Ends our side and reads what the client still sends: a socket that is closed with unread bytes is reset, and a
/// reset can overtake the last answer.
async fn take_leave(mut wire: Wire) -> io::Result<()> {
    wire.shutdown().await?;
    let mut discarded = [0; 4096];
    while wire.read(&mut discarded).await? > 0 {}
    Ok(())
}

async fn serve(
    house: &Arc<House>,
    ends: Ends,
    request: Request<Incoming>,
    admitted: &Mutex<Option<WebRequest>>,
) -> Response<Full<Bytes>> {
    let answer = match enter(house, ends, request).await {
        Ok(Entered { accept: None, request }) => ask(house, move |desk| desk.answer(request)).await,
        Ok(Entered { accept: Some(accept), request }) => {
            let asked = ask(house, move |desk| match desk.admit(&request) {
                Ok(()) => Ok(request),
                Err(answer) => Err(answer),
            });
            match asked.await {
                Ok(request) => {
                    if let Ok(mut admitted) = admitted.lock() {
                        *admitted = Some(request);
                    }
                    return switch(&accept);
                }
                Err(answer) => answer,
            }
        }
        Err(answer) => answer,
    };
    respond(answer)
}

/// A request that is whole and in order.
struct Entered {
    request: WebRequest,
    /// Set if it asks for a WebSocket.
    accept: Option<String>,
}

async fn enter(house: &House, ends: Ends, request: Request<Incoming>) -> Result<Entered, WebAnswer> {
    let (parts, body) = request.into_parts();
    let head = read_head(&parts)?;
    let spec = &house.spec;
    let too_large = || {
        let text = format!("a body must be at most {} bytes", spec.max_body);
        WebAnswer::text(413, text).with("Connection", "close")
    };
    // Before the body is asked for, so that a client which waits for 100 keeps it to itself.
    if body.size_hint().lower() > spec.max_body as u64 {
        return Err(too_large());
    }
    let body = match timeout(spec.handshake_timeout, Limited::new(body, spec.max_body).collect()).await {
        Ok(Ok(body)) => body.to_bytes().into(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
        Ok(Err(_)) => return Err(WebAnswer::text(400, "the body is broken").with("Connection", "close")),
        Err(_) => return Err(WebAnswer::text(408, "the body is late").with("Connection", "close")),
    };
    let RequestHead { method, path, query, headers, accept } = head;
    let Ends { peer, local, is_tls } = ends;
    Ok(Entered { request: WebRequest { method, path, query, headers, body, peer, local, is_tls }, accept })
}

fn read_head(parts: &Parts) -> Result<RequestHead, WebAnswer> {
    let version =
        if parts.version < hyper::Version::HTTP_11 { HttpVersion::Http10 } else { HttpVersion::Http11 };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    RequestHead::read(parts.method.as_str(), &parts.uri.to_string(), version, headers)
}

/// Asks the desk on a thread that may block.
async fn ask<T: FromAnswer>(house: &Arc<House>, question: impl FnOnce(&dyn Desk) -> T + Send + 'static) -> T {
    let desk = Arc::clone(&house.desk);
    spawn_blocking(move || question(&*desk))
        .await
        .unwrap_or_else(|_| T::from_answer(WebAnswer::text(500, "the exchange has failed")))
}

/// What a question can be answered with when the desk cannot.
trait FromAnswer: Send + 'static {
    fn from_answer(answer: WebAnswer) -> Self;
}

impl FromAnswer for WebAnswer {
    fn from_answer(answer: WebAnswer) -> Self {
        answer
    }
}

impl FromAnswer for Result<WebRequest, WebAnswer> {
    fn from_answer(answer: WebAnswer) -> Self {
        Err(answer)
    }
}

fn switch(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(SERVER, NAME);
    headers.insert(hyper::header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(hyper::header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(accept).expect("base 64 is fit for a header");
    headers.insert(hyper::header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn respond(answer: WebAnswer) -> Response<Full<Bytes>> {
    checked(answer).unwrap_or_else(|fault| {
        let mut response = Response::new(Full::from(format!("{fault}\n")));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert(SERVER, NAME);
        response
    })
}

/// The response, or what is wrong with the desk's answer.
fn checked(answer: WebAnswer) -> Result<Response<Full<Bytes>>, String> {
    let status = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
        .ok_or_else(|| format!("the exchange answered with status {}", answer.status))?;
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body { answer.body } else { Vec::new() };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, NAME);
    let content_type =
        (!answer.content_type.is_empty()).then(|| ("Content-Type".into(), answer.content_type));
    for (name, value) in answer.headers.into_iter().chain(content_type) {
        let header = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
        let (name, value) = header.ok_or_else(|| format!("the exchange answered with header {name:?}"))?;
        if name == CONTENT_TYPE || name == SERVER {
            headers.insert(name, value);
        } else if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            headers.append(name, value);
        }
    }
    Ok(response)
}

const NAME: HeaderValue = HeaderValue::from_static("tickstorm");

/// The content type of a TLS record that carries a handshake (RFC 8446, 5.1); no method of HTTP begins with it.
const TLS_HANDSHAKE: [u8; 1] = [0x16];

/// What the library asks for at least.
const LEAST_BUFFER: usize = 8 << 10;

/// A client that reads at all has read its answer by then.
const LINGER: Duration = Duration::from_secs(1);
