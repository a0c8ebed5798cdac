//! Protobuf as it passes: the fields of a message, in the order in which they were written.

/// A field's value, as far as its wire type tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    /// Text, bytes, a message within, or packed numbers.
    Bytes(&'a [u8]),
    /// A number of fixed length.
    Fixed,
}

/// Goes over the fields of `message`; `None` where that is none.
pub(super) fn fields<'a>(
    mut message: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Option<()>,
) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            5 => take(&mut message, 4).map(|_| Value::Fixed)?,
            // Groups went out of use long before these protocols came.
            _ => return None,
        };
        each(tag >> 3, value)?;
    }
    Some(())
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let message = b"\x08\x96\x01\x12\x03abc\x1d\0\0\0\0\x21\0\0\0\0\0\0\0\0";
        let mut read = Vec::new();
        let whole = fields(message, |number, value| {
            read.push((number, value));
            Some(())
        });
        assert_eq!(whole, Some(()));
        assert_eq!(
            read,
            [
                (1, Value::Varint(150)),
                (2, Value::Bytes(b"abc")),
                (3, Value::Fixed),
                (4, Value::Fixed),
            ]
        );
    }

    #[test]
    fn what_is_cut_or_endless_is_none() {
        for bad in [&b"\x08"[..], b"\x12\x04abc", b"\x0b", b"\x1d\0", &[0xFF; 11], b"\x12\xFF"] {
            assert_eq!(fields(bad, |_, _| Some(())), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = fields(&bytes, |_, _| Some(()));
        }
    }
}
