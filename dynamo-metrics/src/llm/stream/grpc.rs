//! gRPC: messages behind a prefix of five bytes, cut anywhere.

use super::lines::LONGEST;
use super::{Seen, StreamReader, Uninspected};

/// A prefix: whether the message is compressed, and its length in four bytes.
const PREFIX: usize = 5;

/// Understands the messages of one method.
pub trait MessageReader: Send + Sync {
    /// Takes the next message, which is not compressed, and adds what it says to `seen`.
    fn message(&mut self, message: &[u8], seen: &mut Seen);
}

/// Reads gRPC's messages, and hands each to `M`; without one, it counts them.
///
/// A message that is compressed, or longer than is held, is counted and not looked at.
///
/// # Cost
/// A message that comes in one frame is read where it lies. What is cut is held until its end, 64 KiB
/// at most, whatever its prefix says.
///
/// # Examples
/// Tokens of a method of one's own, counted by its messages:
/// ```
/// use dynamo_metrics::llm::stream::{CountTokens, Grpc, Seen, StreamReader};
///
/// let mut reader = Grpc::new(CountTokens::new(|message: &[u8]| message.len() as u64 / 4));
/// let mut seen = Seen::default();
/// reader.read(b"\0\0\0\0\x08one", &mut seen);
/// reader.read(b" two!", &mut seen);
/// assert_eq!((seen.events, seen.tokens, seen.exact), (1, 2, true));
/// ```
#[derive(Debug)]
pub struct Grpc<M> {
    reader: Option<M>,
    longest: usize,
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that came.
    got: usize,
    /// Bytes of the message that are to come.
    left: usize,
    /// What came of a message that is to be read.
    message: Vec<u8>,
    /// The message at hand passes by unread, and why.
    passes: Option<Uninspected>,
    /// This is no gRPC, so there is no telling where the next message begins.
    broken: bool,
}

/// Counts the tokens in messages by a function.
#[derive(Debug, Clone, Copy)]
pub struct CountTokens<F>(F);

/// Looks into no message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unread;

impl<M: MessageReader> Grpc<M> {
    /// Reads messages for `reader`.
    pub fn new(reader: M) -> Self {
        Self::with(Some(reader))
    }

    /// A message of more than so many bytes passes by unread (default: 64 KiB).
    #[must_use]
    pub fn longest(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    fn with(reader: Option<M>) -> Self {
        Self {
            reader,
            longest: LONGEST,
            prefix: [0; PREFIX],
            got: 0,
            left: 0,
            message: Vec::new(),
            passes: None,
            broken: false,
        }
    }

    /// The prefix is whole: the message begins.
    fn begin(&mut self, seen: &mut Seen) {
        let [flag, length @ ..] = self.prefix;
        // On machines where a length may not fit, it is too long all the same.
        self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.passes = match flag {
            0 if self.left > self.longest => Some(Uninspected::Oversized),
            0 => None,
            1 => Some(Uninspected::Encoded),
            _ => {
                self.broken = true;
                return seen.miss(Uninspected::Malformed);
            }
        };
        if self.left == 0 {
            self.finish(&[], seen);
        }
    }

    /// The message is whole: it is `message`, or passed by.
    fn finish(&mut self, message: &[u8], seen: &mut Seen) {
        self.got = 0;
        seen.events += 1;
        let Some(reader) = &mut self.reader else { return };
        match self.passes {
            Some(why) => seen.miss(why),
            None => reader.message(message, seen),
        }
    }
}

impl Grpc<Unread> {
    /// Counts messages.
    pub(crate) fn count() -> Self {
        Self::with(None)
    }
}

impl<M: MessageReader> StreamReader for Grpc<M> {
    fn read(&mut self, mut frame: &[u8], seen: &mut Seen) {
        while !frame.is_empty() && !self.broken {
            if self.got < PREFIX {
                let (start, rest) = frame.split_at(frame.len().min(PREFIX - self.got));
                self.prefix[self.got..self.got + start.len()].copy_from_slice(start);
                self.got += start.len();
                frame = rest;
                if self.got == PREFIX {
                    self.begin(seen);
                }
                continue;
            }
            let (part, rest) = frame.split_at(frame.len().min(self.left));
            frame = rest;
            self.left -= part.len();
            let held = self.reader.is_some() && self.passes.is_none();
            if self.left == 0 && self.message.is_empty() {
                self.finish(part, seen);
                continue;
            }
            if held {
                self.message.extend_from_slice(part);
            }
            if self.left == 0 {
                let mut message = std::mem::take(&mut self.message);
                self.finish(&message, seen);
                message.clear();
                self.message = message;
            }
        }
    }
}

impl<F: Fn(&[u8]) -> u64 + Send + Sync> CountTokens<F> {
    /// Counts the tokens of a message by `count`.
    pub fn new(count: F) -> Self {
        Self(count)
    }
}

impl<F: Fn(&[u8]) -> u64 + Send + Sync> MessageReader for CountTokens<F> {
    fn message(&mut self, message: &[u8], seen: &mut Seen) {
        seen.tokens += (self.0)(message);
        seen.exact = true;
    }
}

impl MessageReader for Unread {
    fn message(&mut self, _: &[u8], _: &mut Seen) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Grpc<CountTokens<impl Fn(&[u8]) -> u64>> {
        Grpc::new(CountTokens::new(|message: &[u8]| message.len() as u64))
    }

    #[test]
    fn messages_are_counted_by_their_prefixes() {
        let (mut reader, mut seen) = (Grpc::count(), Seen::default());
        reader.read(b"\0\0\0\0\x02ab\x01\0\0\0\x01x\0\0\0\0\0\0\0\0\0\x01", &mut seen);
        assert_eq!((seen.events, seen.tokens, seen.uninspected), (3, 0, None));
        reader.read(b"z", &mut seen);
        assert_eq!(seen.events, 4);
    }

    #[test]
    fn what_is_compressed_is_counted_and_not_looked_at() {
        let (mut reader, mut seen) = (reader(), Seen::default());
        reader.read(b"\x01\0\0\0\x02ab\0\0\0\0\x03abc", &mut seen);
        assert_eq!((seen.events, seen.tokens), (2, 3));
        assert_eq!(seen.uninspected, Some(Uninspected::Encoded));
    }

    #[test]
    fn a_hostile_length_costs_no_memory_and_its_own_message() {
        let (mut reader, mut seen) = (reader(), Seen::default());
        reader.read(b"\0\x00\x10\0\0", &mut seen);
        for _ in 0..256 {
            reader.read(&[b'x'; 4_096], &mut seen);
        }
        reader.read(b"\0\0\0\0\x03abc\0\xFF\xFF\xFF\xFFxx", &mut seen);
        assert_eq!((seen.events, seen.tokens), (2, 3));
        assert_eq!(seen.uninspected, Some(Uninspected::Oversized));
        assert_eq!(reader.message.capacity(), 0);
    }

    #[test]
    fn what_is_no_grpc_is_read_no_further() {
        let (mut reader, mut seen) = (reader(), Seen::default());
        reader.read(b"data: {}\n\n\0\0\0\0\x03abc", &mut seen);
        assert_eq!((seen.events, seen.uninspected), (0, Some(Uninspected::Malformed)));
    }
}
