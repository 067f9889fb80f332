//! One conformance suite for both kinds of stream.

use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;

use tickstorm_net::{Carrier as _, Ending, Transport};
use tickstorm_random::Seed;

use crate::lobby::{Lobby, tls_spec};
use crate::wait_until;

/// Runs a test over plain text and TLS, with either end as the first.
fn for_both_kinds(test: impl Fn(Transport, Transport)) {
    let lobby = Lobby::open(tls_spec());
    for is_tls in [false, true] {
        let (client, server) = lobby.pair(is_tls);
        test(client, server);
        let (client, server) = lobby.pair(is_tls);
        test(server, client);
    }
}

/// What a non-blocking call brought; nothing if it would block.
fn unless_blocked<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(length).collect()
}

/// Reads until the peer has ended.
fn read_to_end(from: &mut Transport) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    wait_until("the end", || match unless_blocked(from.read(&mut chunk)) {
        Some(0) => true,
        Some(count) => {
            assert_eq!(from.ending(), None);
            bytes.extend_from_slice(&chunk[..count]);
            false
        }
        None => false,
    });
    bytes
}

/// Writes until the kernel takes no more; what was taken of an endless pattern.
fn fill(into: &mut Transport) -> Vec<u8> {
    let bytes = pattern(64 << 20);
    let mut taken = 0;
    while let Some(count) = unless_blocked(into.write(&bytes[taken..])) {
        taken += count;
        assert!(taken < bytes.len(), "the kernel takes everything");
    }
    bytes[..taken].to_vec()
}

#[test]
fn bytes_come_as_they_were_sent_however_they_are_cut() {
    for_both_kinds(|mut from, mut to| {
        let sent = pattern(3_000_000);
        let mut cuts = Seed::new(7).stream("cuts", 0);
        let (mut taken, mut got) = (0, Vec::new());
        let mut chunk = vec![0; 100_000];
        wait_until("all bytes", || {
            let length = (cuts.word() % 200_000).min((sent.len() - taken) as u64) as usize;
            let part = &sent[taken..taken + length];
            let written = if cuts.word().is_multiple_of(2) {
                let (left, right) = part.split_at(length / 3);
                from.write_vectored(&[IoSlice::new(left), IoSlice::new(b""), IoSlice::new(right)])
            } else {
                from.write(part)
            };
            taken += unless_blocked(written).unwrap_or(0);
            unless_blocked(from.flush());
            let room = 1 + (cuts.word() % 100_000) as usize;
            let count = unless_blocked(to.read(&mut chunk[..room])).unwrap_or(0);
            got.extend_from_slice(&chunk[..count]);
            got.len() == sent.len()
        });
        assert!(got == sent, "bytes differ");
        assert_eq!((from.pending_ciphertext(), from.wants_write()), (0, false));
    });
}

#[test]
fn many_small_slices_come_in_their_order() {
    for_both_kinds(|mut from, mut to| {
        let sent = pattern(200_000);
        let mut taken = 0;
        let mut got = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        wait_until("all bytes", || {
            let slices: Vec<_> = sent[taken..].chunks(97).map(IoSlice::new).collect();
            if !slices.is_empty() {
                let count = unless_blocked(from.write_vectored(&slices)).unwrap_or(0);
                assert!(!from.is_tls() || count <= Transport::MAX_TAKEN);
                taken += count;
            }
            unless_blocked(from.flush());
            let count = unless_blocked(to.read(&mut chunk)).unwrap_or(0);
            got.extend_from_slice(&chunk[..count]);
            got.len() == sent.len()
        });
        assert!(got == sent, "bytes differ");
    });
}

#[test]
fn a_peer_that_does_not_read_holds_little_of_our_memory() {
    for_both_kinds(|mut from, mut to| {
        let mut sent = fill(&mut from);
        assert_eq!(from.wants_write(), from.is_tls());
        // The kernel may find room for a little more; what it has none for is not taken.
        for _ in 0..1000 {
            let pending = from.pending_ciphertext();
            assert!(pending <= Transport::MAX_TAKEN + 1000, "{pending}");
            match unless_blocked(from.write(b"more")) {
                Some(count) => sent.extend_from_slice(&b"more"[..count]),
                None => assert!(from.pending_ciphertext() <= pending),
            }
        }
        let mut got = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        wait_until("the bytes", || {
            unless_blocked(from.flush());
            let count = unless_blocked(to.read(&mut chunk)).unwrap_or(0);
            got.extend_from_slice(&chunk[..count]);
            got.len() >= sent.len()
        });
        assert!(got == sent, "bytes differ");
        assert!(!from.wants_write());
    });
}

#[test]
fn what_lies_unread_in_a_kernel_is_so_much_of_the_stream() {
    for_both_kinds(|mut from, to| {
        let lengths = [100, 14, 40_000, 7];
        let (mut seen, mut on_the_wire) = (0, Vec::new());
        // What the session has sent of its own accord lies there already.
        let mut there = vec![0; 1 << 20];
        for length in lengths {
            assert_eq!(from.write(&pattern(length)).unwrap(), length);
            let before = seen;
            wait_until("the bytes", || {
                seen = unless_blocked(to.socket().peek(&mut there)).unwrap_or(0);
                seen >= before + length + if from.is_tls() { 22 * length.div_ceil(16 << 10) } else { 0 }
            });
            on_the_wire.push((seen - before) as u64);
        }
        // From the last write to the first.
        let (mut behind, mut plain) = (0, 0);
        for (length, bytes) in lengths.into_iter().zip(on_the_wire).rev() {
            assert_eq!(from.in_last(behind), plain, "read to the end of a write is read");
            assert!(from.in_last(behind + 1) > plain, "a byte of it unread");
            (behind, plain) = (behind + bytes, plain + length as u64);
            assert_eq!(from.in_last(behind), plain);
        }
    });
}

#[test]
fn an_end_comes_after_all_bytes_and_leaves_the_other_direction_open() {
    for_both_kinds(|mut from, mut to| {
        from.write_all(b"last words").unwrap();
        from.shutdown(Shutdown::Write).unwrap();
        from.shutdown(Shutdown::Write).unwrap();
        assert_eq!(from.write(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(read_to_end(&mut to), b"last words");
        assert_eq!(to.ending(), Some(Ending::Closed));
        assert_eq!(to.read(&mut [0; 10]).unwrap(), 0);
        to.write_all(b"an answer").unwrap();
        to.shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_to_end(&mut from), b"an answer");
        assert_eq!(from.ending(), Some(Ending::Closed));
    });
}

#[test]
fn an_end_waits_for_what_is_pending() {
    for_both_kinds(|mut from, mut to| {
        let sent = fill(&mut from);
        let is_done = unless_blocked(from.shutdown(Shutdown::Write)).is_some();
        assert_eq!(is_done, !from.wants_write());
        let reader = std::thread::spawn(move || {
            let got = read_to_end(&mut to);
            (got, to.ending())
        });
        wait_until("the end", || unless_blocked(from.shutdown(Shutdown::Write)).is_some());
        let (got, ending) = reader.join().unwrap();
        assert!(got == sent, "bytes differ");
        assert_eq!(ending, Some(Ending::Closed));
    });
}

#[test]
fn a_peer_that_is_gone_is_told_from_one_that_took_its_leave() {
    for_both_kinds(|mut from, mut to| {
        from.write_all(b"to be cont").unwrap();
        // Behind the back of TLS.
        from.socket().shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut to), b"to be cont");
        let expected = if to.is_tls() { Ending::Truncated } else { Ending::Closed };
        assert_eq!(to.ending(), Some(expected));
    });
}

#[test]
fn a_dropped_peer_ends_reads_and_writes() {
    for_both_kinds(|from, mut to| {
        drop(from);
        assert_eq!(read_to_end(&mut to), b"");
        wait_until("an error", || match to.write(b"anybody there") {
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        });
    });
}

#[test]
fn bytes_that_are_no_records_are_an_error_and_not_data() {
    let lobby = Lobby::open(tls_spec());
    let (client, mut server) = lobby.pair(true);
    let mut socket = client.socket();
    socket.write_all(b"\x17\x03\x03\x00\x20this is not what it says it is..").unwrap();
    let mut error = None;
    wait_until("the error", || match server.read(&mut [0; 100]) {
        Err(found) if found.kind() == ErrorKind::WouldBlock => false,
        read => {
            error = read.err();
            true
        }
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::InvalidData);
    assert!(server.write(b"after that").is_err());
}
