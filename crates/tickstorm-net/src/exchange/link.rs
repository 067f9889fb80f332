//! A client's end of the line: what it is sent, what of that it has taken, and what it says.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::exchange::trail::Trail;
use crate::exchange::turn::Sealed;
use crate::frame::{FrameReader, Incoming, Role};
use crate::poller::{Interest, Poller};
use crate::transport::Transport;

pub use crate::exchange::trail::Mark;

/// What carries the bytes of a [`Link`], and knows how many of them are in what is seen of it from outside.
pub trait Carrier: Read + Write {
    /// How many bytes, counted from the last that was written, are not yet there as long as the last `sent` bytes of what
    /// was handed to the kernel are not. They are as many, unless the stream goes in records that are larger than what they
    /// hold, and of use only as a whole.
    fn in_last(&self, sent: u64) -> u64 {
        sent
    }

    /// Nobody will ask about more than so many bytes, counted from the last that was written.
    fn forget_all_but_last(&mut self, _bytes: u64) {}
}

/// One WebSocket connection of a server to a client, over any byte stream that never blocks.
///
/// Sending has three steps: frames are written into a [`Turn`](super::Turn), [`push`](Link::push) notes that this client
/// gets one, and [`flush`](Link::flush) offers the turn's frames to the kernel in one write. What the kernel does not take
/// waits in the link's queue, in the turn's own memory where that is worth it. How long the queue may become is the
/// caller's to say, who reads [`queued`](Link::queued).
///
/// Each byte of the stream belongs to a [`Mark`]: so a number of bytes that wait somewhere, here, in a kernel, becomes
/// the age of the oldest message among them.
#[derive(Debug)]
pub struct Link<T> {
    wire: T,
    reader: FrameReader,
    /// Of this turn.
    pieces: Vec<Range<usize>>,
    notes: Vec<Note>,
    pushed_in_turn: usize,
    /// Market messages that were ever pushed.
    told: u64,
    queue: VecDeque<Segment>,
    queued: usize,
    /// Bytes that were ever offered to the kernel, and those that it took.
    offered: u64,
    taken: u64,
    trail: Trail,
    epoch: u8,
    blocked: bool,
    /// The client has closed, or what it sends is no WebSocket stream: the rest is not taken in.
    deaf: bool,
    watched: Option<Interest>,
}

/// Frames of this turn that were due at about the same time.
#[derive(Debug, Clone, Copy)]
struct Note {
    /// Bytes of the turn up to its end.
    end: usize,
    due_ns: u64,
    frames: u32,
    messages: u32,
    epoch: u8,
    is_held: bool,
}

/// Bytes that wait for the kernel.
#[derive(Debug)]
enum Segment {
    /// In the memory of a turn, with other clients.
    Shared {
        turn: Arc<Vec<u8>>,
        range: Range<usize>,
    },
    Own {
        bytes: Vec<u8>,
        head: usize,
    },
}

/// Room that all links of a thread use in turn.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u8>);

/// What a flush brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Bytes that the kernel took.
    pub bytes: u64,
    /// Writes that it took for that.
    pub writes: u64,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// Bytes read.
    pub bytes: usize,
    /// Whether the kernel may hold more.
    pub more: bool,
}

/// Why nothing more will come from a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// It closed its end without taking leave.
    #[error("the client ended the connection without a close frame")]
    Ended,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Lost(io::ErrorKind),
    /// What it sent is no WebSocket stream; the code is to be closed with.
    #[error("{text}")]
    Garbled {
        /// The code to close with.
        code: u16,
        /// What is wrong.
        text: String,
    },
}

impl<T: Carrier> Link<T> {
    /// A link over a stream on which the opening handshake is done, and what came behind it. Takes messages of up to
    /// `max_message` bytes from the client.
    pub fn new(wire: T, early: &[u8], max_message: usize) -> Self {
        let mut reader = FrameReader::new(Role::Server, max_message);
        reader.push(early);
        Self {
            wire,
            reader,
            pieces: Vec::new(),
            notes: Vec::new(),
            pushed_in_turn: 0,
            told: 0,
            queue: VecDeque::new(),
            queued: 0,
            offered: 0,
            taken: 0,
            trail: Trail::default(),
            epoch: 0,
            blocked: false,
            deaf: false,
            watched: None,
        }
    }

    /// The stream beneath.
    pub fn wire(&self) -> &T {
        &self.wire
    }

    /// The same, to end it.
    pub fn wire_mut(&mut self) -> &mut T {
        &mut self.wire
    }

    /// Adds a frame of the turn to what this client is sent: one that tells `messages` market messages, none for
    /// answers and signs of life, the oldest of them due at `due_ns` of run time.
    #[inline]
    pub fn push(&mut self, frame: Range<usize>, due_ns: u64, messages: u32) {
        self.note(frame, due_ns, messages, false);
    }

    /// The same for a frame that was held back since it was due, because the client did not take those before it: its
    /// mark counts as offered since then.
    pub fn push_held(&mut self, frame: Range<usize>, due_ns: u64, messages: u32) {
        self.note(frame, due_ns, messages, true);
    }

    #[inline]
    fn note(&mut self, frame: Range<usize>, due_ns: u64, messages: u32, is_held: bool) {
        self.pushed_in_turn += frame.len();
        self.told += u64::from(messages);
        match self.pieces.last_mut() {
            Some(last) if last.end == frame.start => last.end = frame.end,
            _ => self.pieces.push(frame),
        }
        match self.notes.last_mut() {
            Some(note)
                if (note.messages > 0) == (messages > 0)
                    && (note.epoch, note.is_held) == (self.epoch, is_held)
                    && due_ns.abs_diff(note.due_ns) <= NOTE_SPAN_NS =>
            {
                note.end = self.pushed_in_turn;
                note.due_ns = note.due_ns.min(due_ns);
                note.frames += 1;
                note.messages += messages;
            }
            _ => self.notes.push(Note {
                end: self.pushed_in_turn,
                due_ns,
                frames: 1,
                messages,
                epoch: self.epoch,
                is_held,
            }),
        }
    }

    /// Frames that are pushed from now on are of this epoch, which their marks tell. Begins with 0.
    pub fn set_epoch(&mut self, epoch: u8) {
        self.epoch = epoch;
    }

    /// Whether frames of this turn wait for a flush.
    #[inline]
    pub fn has_pieces(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Frames of this turn that wait for a flush.
    pub fn frames_pushed(&self) -> u32 {
        self.notes.iter().map(|note| note.frames).sum()
    }

    /// Market messages of this turn, and of an epoch, that wait for a flush: no mark tells of them yet.
    pub fn messages_pushed(&self, epoch: u8) -> u64 {
        let of_epoch = self.notes.iter().filter(|note| note.epoch == epoch);
        of_epoch.map(|note| u64::from(note.messages)).sum()
    }

    /// Market messages that were ever pushed, those of this turn among them.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// Bytes that wait here for the kernel, those of this turn left out.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// The same with those of this turn.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.queued + self.pushed_in_turn
    }

    /// Whether the kernel would not take everything at the last flush.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Offers to the kernel what waits, the turn's frames last, and hands over each mark that it has taken whole.
    pub fn flush(
        &mut self,
        turn: &Sealed,
        now_ns: u64,
        scratch: &mut Scratch,
        on_taken: impl FnMut(&Mark),
    ) -> io::Result<Delivery> {
        for note in self.notes.drain(..) {
            self.trail.push(Mark {
                end: self.offered + note.end as u64,
                due_ns: note.due_ns,
                offered_ns: if note.is_held { note.due_ns.min(now_ns) } else { now_ns },
                frames: note.frames,
                messages: note.messages,
                epoch: note.epoch,
            });
        }
        self.offered += self.pushed_in_turn as u64;
        self.pushed_in_turn = 0;
        let mut delivery = Delivery::default();
        let outcome = self.write_out(turn, scratch, &mut delivery);
        self.pieces.clear();
        self.taken += delivery.bytes;
        self.trail.take(self.taken, on_taken);
        outcome.map(|()| delivery)
    }

    /// Offers to the kernel what waits from turns before.
    pub fn flush_queue(&mut self, on_taken: impl FnMut(&Mark)) -> io::Result<Delivery> {
        let mut delivery = Delivery::default();
        let outcome = self.write_queue(&mut delivery);
        self.taken += delivery.bytes;
        self.trail.take(self.taken, on_taken);
        outcome.map(|()| delivery)
    }

    fn write_out(&mut self, turn: &Sealed, scratch: &mut Scratch, delivery: &mut Delivery) -> io::Result<()> {
        self.write_queue(delivery)?;
        if self.blocked {
            for piece in std::mem::take(&mut self.pieces) {
                self.enqueue(turn, piece);
            }
            return Ok(());
        }
        match &self.pieces[..] {
            [] => Ok(()),
            [piece] => {
                let piece = piece.clone();
                let written = self.write(&turn.bytes()[piece.clone()], delivery)?;
                if written < piece.len() {
                    self.enqueue(turn, piece.start + written..piece.end);
                }
                Ok(())
            }
            pieces => {
                scratch.0.clear();
                for piece in pieces {
                    scratch.0.extend_from_slice(&turn.bytes()[piece.clone()]);
                }
                let written = self.write(&scratch.0, delivery)?;
                self.enqueue_copy(&scratch.0[written..]);
                Ok(())
            }
        }
    }

    fn write_queue(&mut self, delivery: &mut Delivery) -> io::Result<()> {
        if self.blocked {
            // A transport may hold bytes of its own that must go first.
            match self.wire.flush() {
                Ok(()) => self.blocked = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        while let Some(mut segment) = self.queue.pop_front() {
            let waits = segment.bytes().len();
            let written = self.write(segment.bytes(), delivery)?;
            self.queued -= written;
            if written < waits {
                segment.skip(written);
                self.queue.push_front(segment);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes until the kernel takes no more.
    fn write(&mut self, bytes: &[u8], delivery: &mut Delivery) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match self.wire.write(&bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    delivery.bytes += count as u64;
                    delivery.writes += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if written == bytes.len() {
            match self.wire.flush() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.blocked = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.blocked = true,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn enqueue(&mut self, turn: &Sealed, range: Range<usize>) {
        if range.len() < SHARED_MIN {
            self.enqueue_copy(&turn.bytes()[range]);
        } else {
            self.queued += range.len();
            self.queue.push_back(Segment::Shared { turn: turn.share(), range });
        }
    }

    fn enqueue_copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.queued += bytes.len();
        if let Some(Segment::Own { bytes: tail, .. }) = self.queue.back_mut()
            && tail.len() + bytes.len() <= OWN_MAX
        {
            tail.extend_from_slice(bytes);
            return;
        }
        self.queue.push_back(Segment::Own { bytes: bytes.to_vec(), head: 0 });
    }

    /// Reads once, at most some 64 KiB, and hands over what came. What came before an error has been handed over. A close
    /// frame is the last thing that is. Behind it, and behind what is [garbled](Silence::Garbled), only the end is
    /// waited for, and the rest is not kept.
    pub fn read(&mut self, mut on_incoming: impl FnMut(Incoming<'_>)) -> Result<Heard, Silence> {
        let mut heard = Heard::default();
        if self.deaf {
            return self.pass_over();
        }
        if self.reader.buffered() > 0 {
            self.hand_over(&mut on_incoming)?;
            if self.deaf {
                return Ok(heard);
            }
        }
        let spare = self.reader.spare();
        let room = spare.len();
        match self.wire.read(spare) {
            Ok(0) => return Err(Silence::Ended),
            Ok(count) => {
                self.reader.filled(count);
                heard = Heard { bytes: count, more: count == room };
                self.hand_over(&mut on_incoming)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => heard.more = true,
            Err(error) => return Err(Silence::Lost(error.kind())),
        }
        Ok(heard)
    }

    fn pass_over(&mut self) -> Result<Heard, Silence> {
        let mut nothing = [0; 16 << 10];
        match self.wire.read(&mut nothing) {
            Ok(0) => Err(Silence::Ended),
            Ok(count) => Ok(Heard { bytes: count, more: count == nothing.len() }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Heard::default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Heard { bytes: 0, more: true }),
            Err(error) => Err(Silence::Lost(error.kind())),
        }
    }

    fn hand_over(&mut self, on_incoming: &mut impl FnMut(Incoming<'_>)) -> Result<(), Silence> {
        loop {
            match self.reader.next() {
                Ok(None) => return Ok(()),
                Ok(Some(incoming)) => {
                    let is_last = matches!(incoming, Incoming::Close(_));
                    on_incoming(incoming);
                    if is_last {
                        self.deaf = true;
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.deaf = true;
                    return Err(Silence::Garbled { code: error.close_code(), text: error.to_string() });
                }
            }
        }
    }

    /// Takes back what waits here, but for the frames of which the kernel may have a part, so that whatever is pushed next
    /// comes soon and at a frame's start. Hands over the marks of what will never be sent. Not to be called while
    /// frames wait for a flush.
    pub fn cut(&mut self, on_cut: impl FnMut(&Mark)) {
        debug_assert!(self.pieces.is_empty(), "a turn's frames are flushed before the queue is cut");
        let Some(first) = self.trail.waiting().next() else { return };
        self.offered = first.end;
        let kept = (first.end - self.taken) as usize;
        self.trail.keep_first_waiting(on_cut);
        let mut room = kept;
        self.queue.retain_mut(|segment| {
            segment.truncate(room);
            room -= segment.bytes().len();
            !segment.bytes().is_empty()
        });
        self.queued = kept;
    }

    /// The place of the stream, counted from the connection's beginning, up to which all has left a queue when the last
    /// `bytes` that were handed to the kernel are in it: what is unacknowledged is not yet in the peer's kernel, that and its
    /// receive queue not yet read by the client.
    pub fn place_before(&self, bytes: u64) -> u64 {
        self.taken.saturating_sub(self.wire.in_last(bytes))
    }

    /// When the oldest message was due that waits here.
    pub fn oldest_due_queued(&self) -> Option<u64> {
        self.trail.oldest_due_waiting()
    }

    /// When the oldest message was due of which a byte lies beyond this [place](Link::place_before) of the stream.
    pub fn oldest_due_beyond(&self, place: u64) -> Option<u64> {
        self.trail.oldest_due_beyond(place)
    }

    /// Forgets the marks of what the client has read, up to this place.
    pub fn forget(&mut self, place: u64) {
        self.trail.forget(place);
        self.wire.forget_all_but_last(self.taken.saturating_sub(place));
    }

    /// The marks that a connection that breaks now has lost: those of which not all is known to have reached the peer, up
    /// to `acknowledged`.
    pub fn unacknowledged(&self, acknowledged: u64) -> impl Iterator<Item = &Mark> {
        self.trail.taken_beyond(acknowledged)
    }

    /// The marks that wait here.
    pub fn waiting(&self) -> impl Iterator<Item = &Mark> {
        self.trail.waiting()
    }
}

impl Link<Transport> {
    /// Has `poller` tell under `key` when the client has said something and, while it takes no more, when it takes more
    /// again. To be called again after a flush: what is waited for may have changed.
    pub fn watch(&mut self, poller: &Poller, key: usize) -> io::Result<()> {
        let interest = if self.blocked { Interest::Both } else { Interest::Read };
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => poller.modify(self.wire.socket(), key, interest)?,
            None => poller.add(self.wire.socket(), key, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }

    /// Ends that; before the link is dropped.
    pub fn unwatch(&mut self, poller: &Poller) {
        if self.watched.take().is_some() {
            // It was added and is open; if the system thinks otherwise, there is nothing left to remove.
            let _ = poller.remove(self.wire.socket());
        }
    }
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Shared { turn, range } => &turn[range.clone()],
            Segment::Own { bytes, head } => &bytes[*head..],
        }
    }

    fn truncate(&mut self, count: usize) {
        match self {
            Segment::Shared { range, .. } => range.end = range.end.min(range.start + count),
            Segment::Own { bytes, head } => bytes.truncate(*head + count),
        }
    }

    fn skip(&mut self, count: usize) {
        match self {
            Segment::Shared { range, .. } => range.start += count,
            Segment::Own { head, .. } => *head += count,
        }
    }
}

/// Frames due this close together share a mark: their ages are told to as much.
const NOTE_SPAN_NS: u64 = 20_000;

/// A piece of a turn at least this large stays in the turn's memory instead of being copied. A turn is at most some
/// times as large, so that what a slow client keeps alive is at most so many times what waits for it.
const SHARED_MIN: usize = 64 << 10;

/// Copied pieces are gathered into segments of this size.
const OWN_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::Turn;
    use crate::frame::Opcode;

    /// A kernel that takes as many bytes as there is room for, and knows a peer that has said something.
    #[derive(Debug, Default)]
    struct Pipe {
        took: Vec<u8>,
        room: usize,
        said: VecDeque<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.took.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Carrier for Pipe {}

    impl Read for Pipe {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.said.is_empty() {
                true => Err(io::ErrorKind::WouldBlock.into()),
                false => self.said.read(into),
            }
        }
    }

    fn link(room: usize) -> Link<Pipe> {
        Link::new(Pipe { room, ..Pipe::default() }, &[], 1 << 20)
    }

    fn messages(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let mut reader = FrameReader::new(Role::Client, 16 << 20);
        reader.push(bytes);
        let mut messages = Vec::new();
        while let Some(incoming) = reader.next().unwrap() {
            if let Incoming::Message(payload) = incoming {
                messages.push(payload.to_vec());
            }
        }
        (messages, reader.buffered())
    }

    /// A turn: which of two clients gets each frame, of what length, and how much their kernels take then.
    #[derive(Debug, Clone)]
    struct Step {
        frames: Vec<(u8, usize)>,
        room: [usize; 2],
        cut: bool,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let length = prop_oneof![0usize..300, Just(70_000), Just(200_000)];
        let frames = prop::collection::vec((1u8..4, length), 0..12);
        let room = || prop_oneof![Just(0usize), 0usize..2_000, 0usize..400_000, Just(10_000_000)];
        let step = (frames, [room(), room()], prop::bool::weighted(0.1))
            .prop_map(|(frames, room, cut)| Step { frames, room, cut });
        prop::collection::vec(step, 1..30)
    }

    proptest! {
        #[test]
        fn each_client_gets_its_frames_whole_and_in_order(steps in steps()) {
            let (mut turn, mut scratch) = (Turn::new(), Scratch::default());
            let mut links = [link(0), link(0)];
            let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
            let mut whole = [0u64; 2];
            let mut cut = [0u64; 2];
            let mut serial = 0u32;
            let last = Step { frames: Vec::new(), room: [usize::MAX; 2], cut: false };
            for (now, step) in (0u64..).zip(steps.iter().chain([&last])) {
                for (who, length) in &step.frames {
                    serial += 1;
                    let mut payload = vec![serial as u8; *length];
                    payload.extend(serial.to_be_bytes());
                    let frame = turn.text(&payload);
                    for index in 0..2 {
                        if who & (1 << index) != 0 {
                            links[index].push(frame.clone(), now * 1_000_000, 2);
                            sent[index].push(payload.clone());
                        }
                    }
                }
                let sealed = turn.seal();
                for index in 0..2 {
                    let link = &mut links[index];
                    link.wire.room = step.room[index];
                    let before = link.wire.took.len();
                    let delivery =
                        link.flush(&sealed, now, &mut scratch, |mark| whole[index] += u64::from(mark.messages)).unwrap();
                    prop_assert_eq!(delivery.bytes as usize, link.wire.took.len() - before);
                    prop_assert_eq!(link.is_blocked(), link.queued() > 0 || link.wire.room == 0 && step.room[index] > 0 && link.is_blocked());
                    let (arrived, _) = messages(&link.wire.took);
                    prop_assert!(whole[index] <= 2 * arrived.len() as u64);
                    if step.cut {
                        let mut dropped = 0;
                        link.cut(|mark| dropped += u64::from(mark.messages) / 2);
                        cut[index] += 2 * dropped;
                        let kept = sent[index].len() - dropped as usize;
                        sent[index].truncate(kept);
                    }
                }
                turn.reuse(sealed);
            }
            for index in 0..2 {
                let (arrived, rest) = messages(&links[index].wire.took);
                prop_assert_eq!(rest, 0);
                prop_assert_eq!(&arrived, &sent[index]);
                prop_assert_eq!(whole[index], 2 * arrived.len() as u64);
                prop_assert_eq!(links[index].queued(), 0);
                prop_assert_eq!(links[index].oldest_due_queued(), None);
            }
        }
    }

    #[test]
    fn frames_that_follow_each_other_are_one_write() {
        let (mut turn, mut scratch) = (Turn::new(), Scratch::default());
        let mut link = link(usize::MAX);
        for n in 0..1000u64 {
            let frame = turn.text(b"0123456789");
            link.push(frame, n, 1);
        }
        let mut whole = 0;
        let delivery = link.flush(&turn.seal(), 5, &mut scratch, |mark| whole += mark.messages).unwrap();
        assert_eq!((delivery, whole), (Delivery { bytes: 12_000, writes: 1 }, 1000));
    }

    #[test]
    fn places_in_the_stream_have_ages() {
        let (mut turn, mut scratch) = (Turn::new(), Scratch::default());
        let mut link = link(250);
        for n in 1..=10u64 {
            let frame = turn.text(&[b'x'; 98]);
            link.push(frame, n * 1_000_000, 1);
        }
        link.flush(&turn.seal(), 10_000_000, &mut scratch, |_| {}).unwrap();
        assert!(link.is_blocked());
        assert_eq!(link.oldest_due_queued(), Some(3_000_000), "of the third a part is taken");
        assert_eq!(link.oldest_due_beyond(0), Some(1_000_000));
        assert_eq!(link.oldest_due_beyond(100), Some(2_000_000));
        assert_eq!(link.unacknowledged(100).map(|mark| mark.end).collect::<Vec<_>>(), [200]);
        assert_eq!(link.waiting().count(), 8);
    }

    #[test]
    fn what_a_client_says_is_handed_over_until_it_closes() {
        let mut link = link(0);
        let mut said = Vec::new();
        crate::frame::write(&mut said, Opcode::Text, b"hello", Some([1, 2, 3, 4]));
        crate::frame::write(&mut said, Opcode::Pong, b"7", Some([1, 2, 3, 4]));
        crate::frame::write(&mut said, Opcode::Close, &[], Some([1, 2, 3, 4]));
        crate::frame::write(&mut said, Opcode::Text, b"after", Some([1, 2, 3, 4]));
        link.wire.said = said.into();
        let mut heard = Vec::new();
        link.read(|incoming| heard.push(format!("{incoming:?}"))).unwrap();
        assert_eq!(heard.len(), 3, "{heard:?}");
        link.wire.said = [0x81, 0x01, b'x'].into();
        let mut other = Link::new(std::mem::take(&mut link.wire), &[], 100);
        assert!(matches!(other.read(|_| {}), Err(Silence::Garbled { code: 1002, .. })));
        other.wire.said = vec![0x81; 20_000].into();
        assert_eq!(other.read(|_| panic!("it is garbled")), Ok(Heard { bytes: 16 << 10, more: true }));
        assert_eq!(other.read(|_| {}).map(|heard| heard.more), Ok(false));
        assert!(
            other.wire.said.is_empty(),
            "what is not kept is read all the same, or the poller tells of it for ever"
        );
    }
}
