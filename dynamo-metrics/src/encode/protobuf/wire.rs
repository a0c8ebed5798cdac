//! Protobuf's wire format, as far as it takes to write it.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// How a field's bytes are to be read.
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
}

impl Message {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn unsigned(&mut self, field: u32, value: u64) {
        self.tag(field, Wire::Varint);
        write_varint(&mut self.0, value);
    }

    /// A number of a type that keeps small negative ones short (`sint32`, `sint64`).
    pub(super) fn signed(&mut self, field: u32, value: i64) {
        self.unsigned(field, zigzag(value));
    }

    pub(super) fn float(&mut self, field: u32, value: f64) {
        self.tag(field, Wire::Fixed64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.message(field, text.as_bytes());
    }

    /// A message that is written already.
    pub(super) fn message(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, Wire::Bytes);
        write_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message that `write` writes.
    pub(super) fn nested(&mut self, field: u32, write: impl FnOnce(&mut Self)) {
        self.tag(field, Wire::Bytes);
        // Most are short, and their length takes this byte.
        let start = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - start - 1;
        if let Ok(length @ ..=0x7F) = u8::try_from(length) {
            self.0[start] = length;
        } else {
            let mut prefix = Vec::new();
            write_varint(&mut prefix, length as u64);
            self.0.splice(start..=start, prefix);
        }
    }

    /// Numbers of `sint64`, none if there are none.
    pub(super) fn packed_signed(&mut self, field: u32, values: impl Iterator<Item = i64>) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.nested(field, |out| {
                for value in values {
                    write_varint(&mut out.0, zigzag(value));
                }
            });
        }
    }

    /// Numbers of `double`, none if there are none.
    pub(super) fn packed_float(&mut self, field: u32, values: impl Iterator<Item = f64>) {
        let mut values = values.peekable();
        if values.peek().is_some() {
            self.nested(field, |out| {
                values.for_each(|value| out.0.extend_from_slice(&value.to_le_bytes()));
            });
        }
    }

    fn tag(&mut self, field: u32, wire: Wire) {
        write_varint(&mut self.0, u64::from(field << 3) | wire as u64);
    }
}

/// Appends a number, seven bits a byte.
pub(super) fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_seven_bits_a_byte() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[127]),
            (128, &[0x80, 1]),
            (300, &[0xAC, 2]),
            (u64::MAX, &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
        ] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, bytes);
        }
        for (value, expected) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MIN, u64::MAX)] {
            assert_eq!(zigzag(value), expected);
        }
    }

    #[test]
    fn messages_nest_with_their_lengths_before_them() {
        let mut message = Message::default();
        message.nested(1, |inner| inner.nested(2, |inner| inner.text(3, &"x".repeat(200))));
        let bytes = message.bytes();
        assert_eq!(bytes[..9], [0x0A, 0xCE, 1, 0x12, 0xCB, 1, 0x1A, 0xC8, 1]);
        assert_eq!(bytes.len(), 209);
    }
}
