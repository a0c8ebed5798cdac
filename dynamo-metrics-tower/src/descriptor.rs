//! The services and methods of a file descriptor set, as `protoc` and `tonic-build` write it.

/// Wire types of protobuf.
const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// The numbers of the fields that are read, in `google/protobuf/descriptor.proto`.
const FILE: u64 = 1;
const PACKAGE: u64 = 2;
const SERVICE: u64 = 6;
const NAME: u64 = 1;
const METHOD: u64 = 2;

/// Fields of one message that hold bytes; the others are stepped over.
struct Fields<'a>(&'a [u8]);

/// The methods of a set, each with its service's whole name; `None` if it cannot be read.
pub(crate) fn methods(set: &[u8]) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for file in all(set, FILE)? {
        let package = text(file, PACKAGE)?;
        for service in all(file, SERVICE)? {
            let name = text(service, NAME)?;
            let dot = if package.is_empty() { "" } else { "." };
            for method in all(service, METHOD)? {
                found.push((format!("{package}{dot}{name}"), text(method, NAME)?.to_owned()));
            }
        }
    }
    Some(found)
}

fn all(message: &[u8], number: u64) -> Option<Vec<&[u8]>> {
    let fields = Fields(message).collect::<Option<Vec<_>>>()?;
    Some(fields.into_iter().filter(|field| field.0 == number).map(|field| field.1).collect())
}

/// The last field of this number counts, as everywhere in protobuf; one that is absent is empty.
fn text(message: &[u8], number: u64) -> Option<&str> {
    str::from_utf8(all(message, number)?.pop().unwrap_or_default()).ok()
}

impl<'a> Iterator for Fields<'a> {
    /// The number and the bytes of a field; `None` if it cannot be read, and then no more.
    type Item = Option<(u64, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.is_empty() {
            match self.field() {
                Some((_, None)) => {}
                Some((number, Some(bytes))) => return Some(Some((number, bytes))),
                None => {
                    self.0 = &[];
                    return Some(None);
                }
            }
        }
        None
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let bytes = match key & 7 {
            VARINT => self.varint().map(|_| None)?,
            EIGHT_BYTES => self.take(8).map(|_| None)?,
            FOUR_BYTES => self.take(4).map(|_| None)?,
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            _ => return None,
        };
        Some((key >> 3, bytes))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn set() -> Vec<u8> {
        let method = |name: &str| field(2, &[field(1, name.as_bytes()), field(2, b".In")].concat());
        let service = [field(1, b"Echo"), method("Say"), method("Stream")].concat();
        let bare = field(6, &[field(1, b"Bare"), method("Call")].concat());
        // A field that is a number (syntax's neighbour) and one of eight bytes stand between.
        let odd = [&[14 << 3, 0x96, 1][..], &[15 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        let first = [field(1, b"a.proto"), field(2, b"test.v1"), odd, field(6, &service)].concat();
        [field(1, &first), field(1, &bare)].concat()
    }

    #[test]
    fn methods_are_found_with_their_services() {
        let found = methods(&set()).unwrap();
        let names: Vec<_> = found.iter().map(|(s, m)| (&**s, &**m)).collect();
        assert_eq!(names, [("test.v1.Echo", "Say"), ("test.v1.Echo", "Stream"), ("Bare", "Call")]);
        assert_eq!(methods(b""), Some(vec![]));
    }

    #[test]
    fn a_set_that_is_cut_or_is_none_is_refused_or_read_as_less() {
        let set = set();
        for end in 0..set.len() {
            let found = methods(&set[..end]).unwrap_or_default();
            assert!(found.len() < 3);
        }
        for bad in [&b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], b"\x0b", b"\xff"] {
            assert_eq!(methods(bad), None);
        }
    }
}
