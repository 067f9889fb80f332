//! ioctl for our end, `NETLINK_SOCK_DIAG` for the other.

use std::ffi::c_int;
use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::ioctl::{self, Getter, Opcode};
use rustix::net::{RecvFlags, SendFlags};

use super::{SendQueue, Socket, Tcp};
use crate::socket;

pub(super) fn send_queue(socket: BorrowedFd<'_>) -> Option<SendQueue> {
    // In this order the second cannot be the larger one.
    let unsent = bytes::<SIOCOUTQNSD>(socket)?;
    let unacknowledged = bytes::<SIOCOUTQ>(socket)?;
    Some(SendQueue { unacknowledged, unsent: unsent.min(unacknowledged) })
}

fn bytes<const REQUEST: Opcode>(socket: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: both requests write one int and read nothing (tcp(7), linux/sockios.h).
    let count = unsafe { ioctl::ioctl(socket, Getter::<REQUEST, c_int>::new()) }.ok()?;
    u64::try_from(count).ok()
}

#[derive(Debug)]
pub(super) struct SocketDiag {
    netlink: OwnedFd,
    /// Of the last request: an answer names the request that it answers.
    sequence: u32,
}

impl SocketDiag {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { netlink: socket::diagnostics()?, sequence: 0 })
    }

    /// The socket at `local` that is connected to `remote`, both as that socket sees them.
    pub(super) fn socket(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = request(self.sequence, local, remote);
        let sent = rustix::net::send(&self.netlink, &request, SendFlags::DONTWAIT).ok()?;
        if sent != request.len() {
            return None;
        }
        // The kernel answers within the send. What else may lie there answers a request that was given up.
        for _ in 0..ANSWERS_AT_MOST {
            let mut answer = [0; 2048];
            let (count, _) = rustix::net::recv(&self.netlink, &mut answer, RecvFlags::DONTWAIT).ok()?;
            let answer = &answer[..count];
            if number(answer, SEQUENCE_AT)? == self.sequence {
                return parse(answer);
            }
        }
        None
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/netlink.h, linux/inet_diag.h). Numbers are in the order
/// of this machine, ports and addresses in that of the network.
fn request(sequence: u32, local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut out = Vec::with_capacity(REQUEST_LEN as usize);
    out.extend(REQUEST_LEN.to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(NLM_F_REQUEST.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend([family, IPPROTO_TCP, WITH_TCP_INFO, 0]);
    out.extend(u32::MAX.to_ne_bytes());
    out.extend(local.port().to_be_bytes());
    out.extend(remote.port().to_be_bytes());
    for ip in [local.ip(), remote.ip()] {
        let mut bytes = [0; 16];
        match ip {
            IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => bytes = ip.octets(),
        }
        out.extend(bytes);
    }
    let interface = match local {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    out.extend(interface.to_ne_bytes());
    // Any generation of the socket.
    out.extend([u8::MAX; 8]);
    out
}

/// `struct inet_diag_msg` behind the header; everything else, an error first of all, is no socket.
fn parse(answer: &[u8]) -> Option<Socket> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    if kind != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    Some(Socket {
        receive_queue: number(answer, HEADER_LEN + 56)?,
        send_queue: number(answer, HEADER_LEN + 60)?,
        uid: number(answer, HEADER_LEN + 64)?,
        inode: number(answer, HEADER_LEN + 68)?,
        tcp: tcp_info(answer.get(HEADER_LEN + MESSAGE_LEN..)?).and_then(tcp),
    })
}

/// Finds `struct tcp_info` among the attributes (`struct nlattr`) of an answer.
fn tcp_info(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let payload = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            return Some(payload);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// Fields of `struct tcp_info` (linux/tcp.h); older kernels leave out the later ones.
fn tcp(info: &[u8]) -> Option<Tcp> {
    let long = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
    let (bytes_sent, bytes_retransmitted) = (long(200)?, long(208)?);
    Some(Tcp {
        unsent: number(info, 144)?,
        sent: bytes_sent.saturating_sub(bytes_retransmitted),
        received: long(128)?,
        round_trip_us: number(info, 68)?,
        retransmits: number(info, 100)?,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

// `TIOCOUTQ`, which alone of these numbers depends on the machine.
#[cfg(not(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "powerpc",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)))]
const SIOCOUTQ: Opcode = 0x5411;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const SIOCOUTQ: Opcode = 0x7472;
#[cfg(any(target_arch = "powerpc", target_arch = "powerpc64", target_arch = "sparc64"))]
const SIOCOUTQ: Opcode = 0x4004_7473;
const SIOCOUTQNSD: Opcode = 0x894b;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// The attribute to answer with, and its bit in a request.
const INET_DIAG_INFO: u16 = 2;
const WITH_TCP_INFO: u8 = 1 << (INET_DIAG_INFO - 1);

const HEADER_LEN: usize = 16;
const MESSAGE_LEN: usize = 72;
const REQUEST_LEN: u32 = HEADER_LEN as u32 + 56;
const SEQUENCE_AT: usize = 8;

/// Far more than can be left over.
const ANSWERS_AT_MOST: usize = 16;
