//! Asks a port whether somebody is there.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

use super::{Readiness, condition::HttpUrl, not_yet};
use crate::engine::{Container, Host};

/// How long a connection may take, on this machine or near it.
const CONNECT_MAX: Duration = Duration::from_millis(500);
/// How long a connection must last; a proxy that finds nothing behind it hangs up at once.
const LAST: Duration = Duration::from_millis(100);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// So much of an answer is read.
const HEAD_BYTES_MAX: u64 = 1 << 10;

/// Where a port may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    at: SocketAddr,
    /// Whether a proxy may answer in its place.
    proxied: bool,
}

/// Of a container's port: its own address where the engine is on this machine, and where it is published.
pub(super) fn addresses(container: &Container, host: &Host, port: u16) -> Vec<Address> {
    let own = container.addresses.iter().filter(|_| host.is_local());
    let own = own.map(|ip| Address { at: (*ip, port).into(), proxied: false });
    let published = container.published.iter().filter(|published| published.port == port);
    let published = published.flat_map(|published| {
        let ips = match host {
            Host::Tcp { name, .. } => resolve(name, published.host_port),
            Host::Unix(_) => vec![(reachable(published.host_address), published.host_port).into()],
        };
        ips.into_iter().map(|at| Address { at, proxied: true })
    });
    own.chain(published).collect()
}

/// Of a program on this machine.
pub(super) fn here(port: u16) -> Vec<Address> {
    let ips: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    ips.into_iter().map(|ip| Address { at: (ip, port).into(), proxied: false }).collect()
}

/// Every address of a machine is reached by the one that it has for itself.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn resolve(name: &str, port: u16) -> Vec<SocketAddr> {
    (name, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

/// Whether one of the addresses takes a connection.
pub(super) fn port(addresses: &[Address]) -> Readiness {
    match addresses.iter().any(|address| listens(*address)) {
        true => Readiness::Ready,
        false if addresses.is_empty() => not_yet("has no address that can be reached"),
        false => not_yet("takes no connection"),
    }
}

fn listens(address: Address) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&address.at, CONNECT_MAX) else { return false };
    if !address.proxied {
        return true;
    }
    let lasts = stream.set_read_timeout(Some(LAST)).and_then(|()| stream.read(&mut [0]));
    match lasts {
        Ok(count) => count > 0,
        Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// Whether one of the addresses answers as it should.
pub(super) fn http(addresses: &[Address], url: &HttpUrl) -> Readiness {
    let mut why =
        if addresses.is_empty() { "has no address that can be reached" } else { "takes no connection" }.to_owned();
    for address in addresses {
        match status(address.at, url) {
            Ok(Some(200..400)) => return Readiness::Ready,
            Ok(Some(status)) => why = format!("answers {status}"),
            Ok(None) => "does not answer in HTTP".clone_into(&mut why),
            Err(_) => {}
        }
    }
    Readiness::NotYet(why)
}

/// The same by the host that stands in the URL.
pub(super) fn http_by_name(url: &HttpUrl) -> Readiness {
    let found: Vec<Address> =
        resolve(&url.host, url.port).into_iter().map(|at| Address { at, proxied: true }).collect();
    http(&found, url)
}

/// The status of an answer; `None` if it has none.
fn status(at: SocketAddr, url: &HttpUrl) -> io::Result<Option<u16>> {
    let until = Instant::now() + ANSWER_MAX;
    let mut stream = TcpStream::connect_timeout(&at, CONNECT_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let HttpUrl { host, port, path } = url;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: logboom\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    let mut answer = stream.take(HEAD_BYTES_MAX);
    let mut part = [0; 256];
    while !head.contains(&b'\n') && Instant::now() < until {
        match answer.read(&mut part)? {
            0 => break,
            count => head.extend_from_slice(&part[..count]),
        }
    }
    Ok(status_of(&head))
}

fn status_of(head: &[u8]) -> Option<u16> {
    let line = str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn url() -> HttpUrl {
        "http://web:1/x".parse().unwrap()
    }

    /// A server that says this to the one who comes.
    fn server(says: &'static str) -> (Vec<Address>, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /x HTTP/1.1\r\nHost: web:1\r\n"));
            stream.write_all(says.as_bytes()).unwrap();
        });
        (vec![Address { at, proxied: true }], serving)
    }

    #[test]
    fn an_answer_below_400_is_ready() {
        for (says, want) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Readiness::Ready),
            ("HTTP/1.0 302 Found\r\nLocation: /y\r\n\r\n", Readiness::Ready),
            ("HTTP/1.1 503 Wait\r\n\r\n", not_yet("answers 503")),
            ("SSH-2.0-x\r\n", not_yet("does not answer in HTTP")),
            ("", not_yet("does not answer in HTTP")),
        ] {
            let (addresses, serving) = server(says);
            assert_eq!(http(&addresses, &url()), want, "{says}");
            serving.join().unwrap();
        }
    }

    #[test]
    fn a_port_that_hangs_up_is_nobodys_where_a_proxy_may_be() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(port(&[Address { at, proxied: false }]), Readiness::Ready);
        assert_eq!(port(&[Address { at, proxied: true }]), Readiness::Ready);
        let hangs_up = thread::spawn(move || {
            (0..3).for_each(|_| drop(listener.accept().unwrap()));
        });
        assert_eq!(port(&[Address { at, proxied: true }]), not_yet("takes no connection"));
        hangs_up.join().unwrap();
        assert_eq!(port(&[Address { at, proxied: false }]), not_yet("takes no connection"));
        assert_eq!(port(&[]), not_yet("has no address that can be reached"));
    }

    #[test]
    fn a_container_is_reached_by_its_own_address_and_where_it_is_published() {
        let published = crate::engine::Published { port: 80, host_address: [0, 0, 0, 0].into(), host_port: 8080 };
        let container =
            Container { addresses: vec![[172, 17, 0, 2].into()], published: vec![published], ..Container::default() };
        let found = |host: &str, port| -> Vec<String> {
            addresses(&container, &host.parse().unwrap(), port).iter().map(|address| address.at.to_string()).collect()
        };
        assert_eq!(found("unix:///var/run/docker.sock", 80), ["172.17.0.2:80", "127.0.0.1:8080"]);
        assert_eq!(found("unix:///var/run/docker.sock", 81), ["172.17.0.2:81"]);
        assert_eq!(found("tcp://10.0.0.1:2375", 80), ["10.0.0.1:8080"]);
    }
}
