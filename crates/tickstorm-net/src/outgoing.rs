//! Frames on their way to the kernel.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};

use tickstorm_random::{Seed, Stream};

use crate::frame::{self, Header, Mask, Opcode, Role};

/// A buffer of whole frames of which the kernel has taken a part.
///
/// No list of frames is kept beside the bytes: as long as the kernel takes everything, counting is enough, and
/// when it does not, the headers in the buffer say where frames end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    /// The first byte that the kernel has not taken.
    head: usize,
    /// Start of the frame that `head` lies in.
    frame: usize,
    /// Data frames from `frame` on.
    frames: usize,
    masks: Option<Masks>,
}

/// What became of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Messages whose last byte the kernel took.
    pub frames: usize,
    /// Bytes that the kernel took.
    pub bytes: usize,
    /// Whether it would not take all.
    pub blocked: bool,
}

impl Outgoing {
    pub(crate) fn new(role: Role) -> Self {
        let masks = (role == Role::Client).then(Masks::new);
        Self { bytes: Vec::new(), head: 0, frame: 0, frames: 0, masks }
    }

    /// Adds a message whose payload `render` appends to the buffer.
    #[inline]
    pub(crate) fn push(&mut self, opcode: Opcode, render: impl FnOnce(&mut Vec<u8>)) {
        self.push_if(opcode, |out| {
            render(out);
            true
        });
    }

    /// The same, unless `render` says that there is no message after all.
    #[inline]
    pub(crate) fn push_if(&mut self, opcode: Opcode, render: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.bytes.len();
        let mask = self.masks.as_mut().map(Masks::next);
        let frame = frame::begin(&mut self.bytes, mask);
        if !render(&mut self.bytes) {
            self.bytes.truncate(start);
            return false;
        }
        frame.finish(&mut self.bytes, opcode);
        self.frames += usize::from(!opcode.is_control());
        true
    }

    pub(crate) fn push_control(&mut self, opcode: Opcode, payload: &[u8]) {
        self.push(opcode, |out| out.extend_from_slice(payload));
    }

    /// Bytes that the kernel has not taken.
    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Offers everything to the kernel, once.
    pub(crate) fn flush(&mut self, to: &mut impl Write) -> io::Result<Flushed> {
        if self.buffered() == 0 {
            return Ok(Flushed::default());
        }
        let taken = loop {
            match to.write(&self.bytes[self.head..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => break taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.head += taken;
        if self.head == self.bytes.len() {
            let frames = std::mem::take(&mut self.frames);
            self.bytes.clear();
            (self.head, self.frame) = (0, 0);
            return Ok(Flushed { frames, bytes: taken, blocked: false });
        }
        let frames = self.pass_frames();
        // Moving the rest costs at most as much as what was taken since it was last moved.
        if self.frame > self.bytes.len() / 2 {
            self.bytes.drain(..self.frame);
            self.head -= self.frame;
            self.frame = 0;
        }
        Ok(Flushed { frames, bytes: taken, blocked: true })
    }

    /// Steps over the frames that end at or before `head` and counts those with data.
    fn pass_frames(&mut self) -> usize {
        let mut passed = 0;
        loop {
            let header = Header::parse(&self.bytes[self.frame..])
                .ok()
                .flatten()
                .expect("the buffer holds whole frames of our own and not all of them are taken");
            let end = self.frame + header.frame_len();
            if end > self.head {
                self.frames -= passed;
                return passed;
            }
            self.frame = end;
            passed += usize::from(!header.opcode.is_control());
        }
    }
}

/// A new mask for each frame, two from each random word.
#[derive(Debug)]
struct Masks {
    stream: Stream,
    spare: Option<Mask>,
}

impl Masks {
    /// Masks are for proxies in between, which must not be able to tell them beforehand: the one thing in a run
    /// that is random anew each time.
    fn new() -> Self {
        let entropy = RandomState::new().hash_one(0u8);
        Self { stream: Seed::new(entropy).stream("mask", 0), spare: None }
    }

    #[inline]
    fn next(&mut self) -> Mask {
        if let Some(mask) = self.spare.take() {
            return mask;
        }
        let word = self.stream.word();
        self.spare = Some(((word >> 32) as u32).to_ne_bytes());
        (word as u32).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::{FrameReader, Incoming};

    /// Takes as many bytes as it is told, then blocks.
    struct Kernel {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Kernel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Ping,
        Flush(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0usize..300).prop_map(Step::Push),
            Just(Step::Push(70_000)),
            Just(Step::Ping),
            (0usize..1000).prop_map(Step::Flush),
            (0usize..200_000).prop_map(Step::Flush),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        #[test]
        fn frames_are_counted_when_their_last_byte_is_taken(steps in steps()) {
            for role in [Role::Client, Role::Server] {
                let mut outgoing = Outgoing::new(role);
                let mut kernel = Kernel { taken: Vec::new(), room: 0 };
                let (mut pushed, mut counted) = (Vec::new(), 0);
                let last = Step::Flush(usize::MAX);
                for step in steps.iter().chain([&last]) {
                    match *step {
                        Step::Push(length) => {
                            let payload = vec![pushed.len() as u8; length];
                            outgoing.push(Opcode::Text, |out| out.extend_from_slice(&payload));
                            pushed.push(payload);
                        }
                        Step::Ping => outgoing.push_control(Opcode::Ping, b"?"),
                        Step::Flush(room) => {
                            kernel.room = room;
                            let before = kernel.taken.len();
                            let flushed = outgoing.flush(&mut kernel).unwrap();
                            counted += flushed.frames;
                            prop_assert_eq!(flushed.bytes, kernel.taken.len() - before);
                            prop_assert_eq!(flushed.blocked, outgoing.buffered() > 0);
                            let arrived = messages(&kernel.taken, role);
                            prop_assert_eq!(arrived.len(), counted);
                        }
                    }
                }
                prop_assert_eq!(messages(&kernel.taken, role), pushed);
            }
        }
    }

    fn messages(bytes: &[u8], sender: Role) -> Vec<Vec<u8>> {
        let receiver = if sender == Role::Client { Role::Server } else { Role::Client };
        let mut reader = FrameReader::new(receiver, frame::DEFAULT_MAX_MESSAGE);
        reader.push(bytes);
        let mut messages = Vec::new();
        while let Some(incoming) = reader.next().unwrap() {
            if let Incoming::Message(payload) = incoming {
                messages.push(payload.to_vec());
            }
        }
        messages
    }

    #[test]
    fn a_blocked_buffer_does_not_grow_with_what_was_taken() {
        let mut outgoing = Outgoing::new(Role::Server);
        let mut kernel = Kernel { taken: Vec::new(), room: 0 };
        outgoing.push_control(Opcode::Ping, b"");
        for _ in 0..10_000 {
            outgoing.push(Opcode::Text, |out| out.extend_from_slice(&[b'x'; 200]));
            kernel.room = 204;
            outgoing.flush(&mut kernel).unwrap();
        }
        assert!(outgoing.bytes.len() < 1000, "{}", outgoing.bytes.len());
    }

    #[test]
    fn every_frame_has_another_mask() {
        let mut masks = Masks::new();
        let mut drawn: Vec<Mask> = (0..1000).map(|_| masks.next()).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert!(drawn.len() > 990);
    }
}
