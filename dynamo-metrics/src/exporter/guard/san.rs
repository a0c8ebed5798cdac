//! The alternative names of a certificate.
//!
//! The library that verifies certificates tells their DNS names alone, so the rest is read here: as
//! much of DER as leads to one extension (RFC 5280, sections 4.1 and 4.2.1.6).

use std::net::IpAddr;

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const OCTETS: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
/// The certificate's `[3]`.
const EXTENSIONS: u8 = 0xa3;
/// `id-ce-subjectAltName`.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// A name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum San<'a> {
    /// Of DNS, a mail address, or a URI.
    Text(&'a [u8]),
    Address(IpAddr),
}

/// The names of a certificate in DER, or `None` if it is not one. Names of other kinds are left out.
pub(super) fn of_certificate(der: &[u8]) -> Option<Vec<San<'_>>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    while !fields.is_empty() {
        let (tag, value, rest) = next(fields)?;
        if tag == EXTENSIONS {
            return of_extensions(expect(value, SEQUENCE)?.0);
        }
        fields = rest;
    }
    Some(Vec::new())
}

fn of_extensions(mut extensions: &[u8]) -> Option<Vec<San<'_>>> {
    while !extensions.is_empty() {
        let (extension, rest) = expect(extensions, SEQUENCE)?;
        let (id, mut value) = expect(extension, OBJECT_ID)?;
        if id == SUBJECT_ALT_NAME {
            if let Some((_, after)) = expect(value, BOOLEAN) {
                value = after;
            }
            let (names, _) = expect(value, OCTETS)?;
            return of_names(expect(names, SEQUENCE)?.0);
        }
        extensions = rest;
    }
    Some(Vec::new())
}

fn of_names(mut names: &[u8]) -> Option<Vec<San<'_>>> {
    let mut found = Vec::new();
    while !names.is_empty() {
        let (tag, value, rest) = next(names)?;
        match (tag, value.len()) {
            (0x81 | 0x82 | 0x86, _) => found.push(San::Text(value)),
            (0x87, 4) => found.push(San::Address(<[u8; 4]>::try_from(value).ok()?.into())),
            (0x87, 16) => found.push(San::Address(<[u8; 16]>::try_from(value).ok()?.into())),
            (0x87, _) => return None,
            _ => {}
        }
        names = rest;
    }
    Some(found)
}

/// The value of the first element, which must have `tag`, and what is behind it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (own, value, rest) = next(der)?;
    (own == tag).then_some((value, rest))
}

/// The first element: its tag, its value, and what is behind it.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        ..=0x7f => (usize::from(length), rest),
        // A certificate is never longer than three bytes can say.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let value = parts.concat();
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[tag, 0x82][..], &length, &value].concat()
    }

    fn certificate(names: &[Vec<u8>], critical: bool) -> Vec<u8> {
        let extension = |id: [u8; 3], critical: bool, value: Vec<u8>| {
            let mut parts = vec![element(OBJECT_ID, &[id.to_vec()])];
            parts.extend(critical.then(|| element(BOOLEAN, &[vec![0xff]])));
            parts.push(element(OCTETS, &[value]));
            element(SEQUENCE, &parts)
        };
        let extensions = [
            extension([0x55, 0x1d, 0x0f], true, vec![1, 2, 3]),
            extension(SUBJECT_ALT_NAME, critical, element(SEQUENCE, names)),
        ];
        let fields = [
            vec![0xa0, 3, 2, 1, 2],
            vec![2, 1, 1],
            element(SEQUENCE, &[]),
            element(EXTENSIONS, &[element(SEQUENCE, &extensions)]),
        ];
        element(SEQUENCE, &[element(SEQUENCE, &fields), element(SEQUENCE, &[]), vec![3, 1, 0]])
    }

    #[test]
    fn names_of_all_kinds_are_found() {
        let names = [
            element(0x82, &[b"a.example".to_vec()]),
            element(0x81, &[b"m@a.example".to_vec()]),
            element(0x86, &[b"spiffe://a/b".to_vec()]),
            element(0x87, &[vec![127, 0, 0, 1]]),
            element(0xa4, &[b"a directory's name".to_vec()]),
        ];
        for critical in [false, true] {
            assert_eq!(
                of_certificate(&certificate(&names, critical)).unwrap(),
                [
                    San::Text(b"a.example"),
                    San::Text(b"m@a.example"),
                    San::Text(b"spiffe://a/b"),
                    San::Address([127, 0, 0, 1].into()),
                ]
            );
        }
    }

    #[test]
    fn a_certificate_without_names_has_none() {
        let fields = element(SEQUENCE, &[vec![2, 1, 1]]);
        assert_eq!(of_certificate(&element(SEQUENCE, &[fields])), Some(Vec::new()));
        assert_eq!(of_certificate(b""), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_it_ends(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
            let _ = of_certificate(&bytes);
            let mut damaged = certificate(&[element(0x87, &[vec![0; 16]])], true);
            let at = at.index(damaged.len());
            damaged[at] = byte;
            let _ = of_certificate(&damaged);
            let _ = of_certificate(&damaged[..at]);
        }
    }
}
