//! What a request says about who it is from, and the one secret that needs no file.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

/// Longest value of a header that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;

/// Why credentials cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The token is empty, longer than a header may be, or has a character that no header can carry.
    #[error("token must be 1 to 8000 visible ASCII characters")]
    Token,
    /// There is no user, so nobody could ever come in.
    #[error("there are no users")]
    NoUsers,
    /// A user is there twice, or has a colon in its name.
    #[error("name of user {0} is taken or has a colon")]
    Name(
        /// Which one, from 1.
        usize,
    ),
    /// What should be a bcrypt hash is something else, or costs more than 18.
    #[error("user {0} has no bcrypt hash of cost 4 to 18")]
    Hash(
        /// Which one, from 1.
        usize,
    ),
}

/// The token that whoever comes in has to show. It is not `Debug`, so that it cannot leak there.
pub(super) struct Token(Box<[u8]>);

impl Token {
    pub(super) fn new(token: &str) -> Result<Self, CredentialsError> {
        let fits = (1..=8_000).contains(&token.len());
        if fits && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(token.as_bytes().into()))
        } else {
            Err(CredentialsError::Token)
        }
    }

    /// Whether `headers` show it. How long it takes tells the token's length, and nothing of what it
    /// is.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = shown(headers, "bearer") else { return false };
        // As many bytes are compared as the token has, whatever was sent.
        let mut padded = vec![0; self.0.len()];
        let both = shown.len().min(padded.len());
        padded[..both].copy_from_slice(&shown[..both]);
        bool::from(padded.ct_eq(&self.0) & shown.len().ct_eq(&self.0.len()))
    }
}

/// What `headers` hold for `scheme`, if there is one such header, of a length worth a look.
pub(super) fn shown<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    // Two of them are a question of who reads which.
    if values.next().is_some() || value.len() > LONGEST {
        return None;
    }
    let (named, rest) = value.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    named.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::new("s3cret").unwrap();
        for right in [&b"Bearer s3cret"[..], b"bearer s3cret", b"BEARER   s3cret "] {
            assert!(token.is_shown(&headers(&[right])));
        }
        let long = [b"Bearer s3cret", &[b'x'; 9_000][..]].concat();
        for wrong in [
            &b""[..],
            b"Bearer",
            b"Bearer ",
            b"Bearers3cret",
            b"Bearer s3cre",
            b"Bearer s3crets",
            b"Bearer S3CRET",
            b"Bearer s3cret,s3cret",
            b"Basic s3cret",
            b"Bearer \xff\xfe",
            b"\xff",
            &long,
        ] {
            assert!(!token.is_shown(&headers(&[wrong])), "{wrong:?}");
        }
        assert!(!token.is_shown(&HeaderMap::new()));
    }

    #[test]
    fn two_headers_are_refused_though_both_are_right() {
        let token = Token::new("s3cret").unwrap();
        assert!(!token.is_shown(&headers(&[b"Bearer s3cret", b"Bearer s3cret"])));
    }

    #[test]
    fn a_giant_header_is_refused_though_it_is_right_when_trimmed() {
        let token = Token::new("s3cret").unwrap();
        let padded = |n: usize| [b"Bearer", " ".repeat(n).as_bytes(), b"s3cret"].concat();
        assert!(token.is_shown(&headers(&[&padded(LONGEST - 12)])));
        assert!(!token.is_shown(&headers(&[&padded(LONGEST - 11)])));
    }

    #[test]
    fn tokens_that_no_header_can_carry_are_refused() {
        for token in ["", "a b", "ä", "a\n", &"x".repeat(8_001)] {
            assert_eq!(Token::new(token).err(), Some(CredentialsError::Token));
        }
    }
}
