//! What the kernel knows of a connection, at both of its ends.

#[cfg(any(test, not(target_os = "linux")))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;

use std::io;
use std::net::SocketAddr;

#[cfg(not(target_os = "linux"))]
use elsewhere as system;
#[cfg(target_os = "linux")]
use linux as system;
use polling::AsSource;

/// What a socket of ours has been given and the peer's kernel has not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendQueue {
    /// Bytes that wait in our kernel, or are on their way and not acknowledged (`SIOCOUTQ`).
    pub unacknowledged: u64,
    /// The part of them that was never sent (`SIOCOUTQNSD`).
    pub unsent: u64,
}

/// The send queue of a TCP socket of ours; two system calls of some hundred nanoseconds. `None` where the system
/// does not tell.
pub fn send_queue(socket: impl AsSource) -> Option<SendQueue> {
    system::send_queue(socket.source())
}

/// What both kernels say about a connection of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queues {
    /// Bytes that were written and have not reached the peer's kernel; `None` when the connection is gone. For a
    /// peer on another host what has arrived is known once it is acknowledged, up to 200 ms late.
    pub our_kernel: Option<u64>,
    /// The other end, when it lies on this host.
    pub peer: Option<PeerSocket>,
    /// The smoothed round trip, in microseconds.
    pub round_trip_us: Option<u32>,
    /// Segments that were sent again.
    pub retransmits: Option<u32>,
}

/// The other end of a connection of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSocket {
    /// Bytes that the peer's kernel has taken and the peer has not read.
    pub receive_queue: u32,
    /// Bytes that the peer has written and our kernel has not confirmed.
    pub send_queue: u32,
    /// Number of the socket, by which its [`Owners`](super::Owners) are found; zero once nobody holds it open.
    pub inode: u32,
    /// The user who opened it.
    pub uid: u32,
}

/// Looks up sockets of this host by their addresses (`NETLINK_SOCK_DIAG`), without any privilege.
///
/// A look-up finds one socket by its hash: it takes some microseconds however many there are, and never waits.
#[derive(Debug)]
pub struct SocketDiag(system::SocketDiag);

impl SocketDiag {
    /// An error where the system has no such thing, or a sandbox forbids it.
    pub fn new() -> io::Result<Self> {
        system::SocketDiag::new().map(Self)
    }

    /// The peer's socket of the connection that leads from `local`, which is ours, to `peer`. `None` when it is
    /// not on this host, lies in another network namespace, or is gone.
    pub fn peer(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<PeerSocket> {
        self.0.socket(canonical(peer), canonical(local)).map(|socket| socket.shown())
    }

    /// What waits in both kernels of the connection that leads from `local`, which is ours, to `peer`. Our socket
    /// need not be at hand.
    pub fn queues(&mut self, local: SocketAddr, peer: SocketAddr) -> Queues {
        let (local, peer) = (canonical(local), canonical(peer));
        let ours = self.0.socket(local, peer);
        // After ours: what arrives in between is counted as arrived.
        let theirs = self.0.socket(peer, local);
        let in_flight = ours.zip(theirs).and_then(|(ours, theirs)| {
            let (ours, theirs) = (ours.tcp?, theirs.tcp?);
            Some(u64::from(ours.unsent) + ours.sent.saturating_sub(theirs.received))
        });
        Queues {
            our_kernel: in_flight.or(ours.map(|ours| ours.send_queue.into())),
            peer: theirs.map(|theirs| theirs.shown()),
            round_trip_us: ours.and_then(|ours| ours.tcp).map(|tcp| tcp.round_trip_us),
            retransmits: ours.and_then(|ours| ours.tcp).map(|tcp| tcp.retransmits),
        }
    }
}

/// A socket of this host.
#[derive(Debug, Clone, Copy)]
struct Socket {
    receive_queue: u32,
    send_queue: u32,
    inode: u32,
    uid: u32,
    /// `None` on kernels before 4.19.
    tcp: Option<Tcp>,
}

#[derive(Debug, Clone, Copy)]
struct Tcp {
    /// Bytes that were written and never sent.
    unsent: u32,
    /// Bytes that were sent, each counted once.
    sent: u64,
    /// Bytes that have arrived in order.
    received: u64,
    round_trip_us: u32,
    retransmits: u32,
}

impl Socket {
    fn shown(self) -> PeerSocket {
        let Self { receive_queue, send_queue, inode, uid, tcp: _ } = self;
        PeerSocket { receive_queue, send_queue, inode, uid }
    }
}

/// The kernel files IPv4 connections under IPv4 addresses, whichever family their sockets are of.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_looked_up_as_what_they_mean() {
        assert_eq!(canonical("[::ffff:127.0.0.1]:80".parse().unwrap()), "127.0.0.1:80".parse().unwrap());
        for other in ["127.0.0.1:80", "[::1]:80"] {
            let other = other.parse().unwrap();
            assert_eq!(canonical(other), other);
        }
    }

    #[test]
    fn systems_without_diagnostics_know_nothing() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(elsewhere::send_queue(socket.source()), None);
        assert_eq!(elsewhere::SocketDiag::new().unwrap_err().kind(), io::ErrorKind::Unsupported);
    }

    #[cfg(target_os = "linux")]
    mod on_linux {
        use std::io::{Read as _, Write as _};
        use std::net::{TcpListener, TcpStream};
        use std::os::fd::AsRawFd as _;
        use std::os::linux::fs::MetadataExt as _;

        use super::*;

        fn pair(listen: &str, connect: impl FnOnce(u16) -> SocketAddr) -> (TcpStream, TcpStream) {
            let listener = TcpListener::bind(listen).unwrap();
            let far = TcpStream::connect(connect(listener.local_addr().unwrap().port())).unwrap();
            (listener.accept().unwrap().0, far)
        }

        fn addresses(near: &TcpStream) -> (SocketAddr, SocketAddr) {
            (near.local_addr().unwrap(), near.peer_addr().unwrap())
        }

        #[test]
        fn what_the_peer_has_not_read_is_seen_in_each_family() {
            let mut diag = SocketDiag::new().unwrap();
            let families = [
                ("127.0.0.1:0", "127.0.0.1"),
                ("[::1]:0", "[::1]"),
                ("[::]:0", "127.0.0.1"),
                ("[::]:0", "[::ffff:127.0.0.1]"),
                ("127.0.0.1:0", "[::ffff:127.0.0.1]"),
            ];
            for (listen, connect) in families {
                let (mut near, mut far) = pair(listen, |port| format!("{connect}:{port}").parse().unwrap());
                let (local, peer) = addresses(&near);
                near.write_all(&[b'x'; 1000]).unwrap();
                let seen = diag.peer(local, peer).unwrap_or_else(|| panic!("{local} {peer}"));
                assert_eq!((seen.receive_queue, seen.send_queue), (1000, 0), "{local} {peer}");
                let descriptor = format!("/proc/self/fd/{}", far.as_raw_fd());
                assert_eq!(u64::from(seen.inode), std::fs::metadata(descriptor).unwrap().st_ino());
                assert_eq!(seen.uid, rustix::process::getuid().as_raw());
                far.read_exact(&mut [0; 600]).unwrap();
                assert_eq!(diag.peer(local, peer).unwrap().receive_queue, 400);
            }
        }

        #[test]
        fn a_connection_that_does_not_exist_has_no_peer() {
            let mut diag = SocketDiag::new().unwrap();
            let (near, far) = pair("127.0.0.1:0", |port| ([127, 0, 0, 1], port).into());
            let (local, peer) = addresses(&near);
            assert_eq!(diag.peer("192.0.2.1:80".parse().unwrap(), peer), None);
            assert_eq!(
                diag.peer("[2001:db8::1]:80".parse().unwrap(), "[2001:db8::2]:81".parse().unwrap()),
                None
            );
            assert!(diag.peer(local, peer).is_some());
            drop((near, far));
            // What is left of it belongs to nobody.
            assert!(diag.peer(local, peer).is_none_or(|left| left.inode == 0));
        }

        #[test]
        fn what_the_peers_kernel_does_not_take_waits_in_ours() {
            let (mut near, mut far) = pair("127.0.0.1:0", |port| ([127, 0, 0, 1], port).into());
            near.set_nonblocking(true).unwrap();
            let mut diag = SocketDiag::new().unwrap();
            let (local, peer) = addresses(&near);
            let mut written = 0;
            // The windows grow while they fill.
            for _ in 0..1000 {
                match near.write(&[b'x'; 65_536]) {
                    Ok(count) => written += count as u64,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            let ours = send_queue(&near).unwrap();
            assert!(ours.unsent > 0 && ours.unsent <= ours.unacknowledged, "{ours:?}");
            let theirs = u64::from(diag.peer(local, peer).unwrap().receive_queue);
            // What was sent and is not acknowledged lies at both ends; `queues` counts it once.
            assert!(ours.unacknowledged + theirs >= written);
            let queues = diag.queues(local, peer);
            assert_eq!(queues.peer.map(|peer| u64::from(peer.receive_queue)), Some(theirs));
            assert_eq!(queues.our_kernel, Some(written - theirs));
            assert!(queues.our_kernel >= Some(ours.unsent));
            assert!(queues.round_trip_us.is_some_and(|us| us > 0) && queues.retransmits.is_some());
            let mut left = written;
            let mut chunk = vec![0; 1 << 20];
            while left > 0 {
                left -= far.read(&mut chunk).unwrap() as u64;
            }
            assert_eq!(diag.peer(local, peer).unwrap().receive_queue, 0);
            assert_eq!(diag.queues(local, peer).our_kernel, Some(0));
            assert_eq!(diag.queues(peer, local).our_kernel, Some(0));
        }
    }
}
