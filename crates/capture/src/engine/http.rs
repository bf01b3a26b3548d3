//! One request on one connection.
//!
//! Nothing runs beside the caller: whoever waits for an answer, or for a part of its body, moves the connection itself.
//! So there is no task to join, and dropping an [`Answer`] closes its connection. What an engine may make us keep is
//! bounded: [`HEAD_BYTES_MAX`] of head, [`BUFFER_BYTES_MAX`] of body that nobody has taken yet.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream as StdTcpStream},
    os::unix::net::UnixStream as StdUnixStream,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, StatusCode,
    body::{Body, Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::Host;

const HEAD_BYTES_MAX: usize = 32 * 1024;
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// How long the peer of a TCP connection may be silent before it is asked whether it lives, and how often it is asked.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// A connection to an engine.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection whose reads wait.
#[derive(Debug)]
pub(super) enum BlockingSocket {
    Unix(StdUnixStream),
    Tcp(StdTcpStream),
}

impl Socket {
    pub async fn connect(host: &Host) -> io::Result<Socket> {
        match host {
            Host::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
            Host::Tcp { name, port } => {
                let stream = TcpStream::connect((name.as_str(), *port)).await?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
                sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
                sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
                Ok(Socket::Tcp(stream))
            }
        }
    }

    /// Takes it off the runtime.
    pub fn into_blocking(self) -> io::Result<BlockingSocket> {
        match self {
            Socket::Unix(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(BlockingSocket::Unix(stream))
            }
            Socket::Tcp(stream) => {
                let stream = stream.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(BlockingSocket::Tcp(stream))
            }
        }
    }
}

impl BlockingSocket {
    /// A second handle of the connection.
    pub fn try_clone(&self) -> io::Result<BlockingSocket> {
        match self {
            BlockingSocket::Unix(stream) => stream.try_clone().map(BlockingSocket::Unix),
            BlockingSocket::Tcp(stream) => stream.try_clone().map(BlockingSocket::Tcp),
        }
    }

    /// Writes all of it.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            BlockingSocket::Unix(stream) => stream.write_all(bytes),
            BlockingSocket::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// Ends the direction to the engine.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match self {
            BlockingSocket::Unix(stream) => stream.shutdown(Shutdown::Write),
            BlockingSocket::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Ends both directions.
    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            BlockingSocket::Unix(stream) => stream.shutdown(Shutdown::Both),
            BlockingSocket::Tcp(stream) => stream.shutdown(Shutdown::Both),
        }
    }
}

impl Read for BlockingSocket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            BlockingSocket::Unix(stream) => stream.read(into),
            BlockingSocket::Tcp(stream) => stream.read(into),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, into),
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// hyper's side of a connection, and whether it has done all that HTTP asks of it.
struct Link {
    connection: Option<http1::Connection<TokioIo<Socket>, String>>,
    done: bool,
}

impl Link {
    /// Waits for what the connection brings, and moves it.
    async fn bring<T>(&mut self, wanted: impl Future<Output = T>) -> T {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if let Poll::Ready(found) = wanted.as_mut().poll(cx) {
                return Poll::Ready(found);
            }
            self.step(cx);
            let found = wanted.as_mut().poll(cx);
            if found.is_ready() || !self.done {
                return found;
            }
            self.connection = None; // with it goes the other end of what is wanted, which is then an error
            wanted.as_mut().poll(cx)
        })
        .await
    }

    /// An error of the connection reaches whoever waits for the answer or the body, so it is not looked at here.
    fn step(&mut self, cx: &mut Context<'_>) {
        match &mut self.connection {
            Some(connection) if !self.done => self.done = connection.poll_without_shutdown(cx).is_ready(),
            _ => {}
        }
    }
}

/// The head of what an engine answered, and the way to the rest.
pub(super) struct Answer {
    pub head: hyper::http::response::Parts,
    body: Incoming,
    link: Link,
}

impl Answer {
    /// Sends the request and waits for the head of the answer.
    pub async fn to(request: Request<String>, socket: Socket) -> hyper::Result<Answer> {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await?;
        let mut link = Link { connection: Some(connection), done: false };
        let (head, body) = link.bring(sender.send_request(request)).await?.into_parts();
        Ok(Answer { head, body, link })
    }

    /// What comes next of the body, never empty; `None` at its end.
    pub async fn chunk(&mut self) -> hyper::Result<Option<Bytes>> {
        loop {
            let body = &mut self.body;
            let Some(frame) = self.link.bring(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx))).await else {
                return Ok(None);
            };
            match frame?.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {} // trailers
            }
        }
    }

    /// The body up to its end, or up to where it is longer than `bytes_max`, which its length then tells.
    pub async fn read(&mut self, bytes_max: usize) -> hyper::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() <= bytes_max
            && let Some(chunk) = self.chunk().await?
        {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The connection itself, and what was read past the head, if the engine has left HTTP behind; else the answer.
    pub async fn upgraded(mut self) -> hyper::Result<Result<(Socket, Bytes), Answer>> {
        if self.head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Err(self));
        }
        let Some(mut connection) = self.link.connection.take() else { return Ok(Err(self)) };
        if !self.link.done {
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await?;
        }
        let parts = connection.into_parts();
        Ok(Ok((parts.io.into_inner(), parts.read_buf)))
    }
}
