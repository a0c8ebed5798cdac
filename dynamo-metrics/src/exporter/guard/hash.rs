//! Hashes of passwords, in bcrypt's form.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Highest cost: a few seconds. Every step doubles it, and 31 would take days.
const HIGHEST_COST: u32 = 18;

/// bcrypt sees no more of a password, with the NUL that ends it.
const SEEN: usize = 72;

/// bcrypt's own alphabet; the last digit has bits to spare, which nobody agrees about.
const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// A bcrypt hash, read. It is not `Debug`, so that it cannot leak there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PasswordHash {
    pub(super) cost: u32,
    salt: [u8; 16],
    digest: [u8; 23],
}

impl PasswordHash {
    /// Reads the forms that `htpasswd` and libraries write: `$2a$`, `$2b$` and `$2y$`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let (cost, rest) = rest.split_once('$')?;
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let cost = cost.parse().ok().filter(|cost| (4..=HIGHEST_COST).contains(cost))?;
        let (salt, digest) = rest.split_at_checked(22)?;
        let (salt, digest) = (ENGINE.decode(salt).ok()?, ENGINE.decode(digest).ok()?);
        Some(Self { cost, salt: salt.try_into().ok()?, digest: digest.try_into().ok()? })
    }

    /// A hash that costs as much as others and is nobody's.
    pub(super) fn fake(cost: u32) -> Self {
        Self { cost, salt: *b"nobody is let in", digest: [0; 23] }
    }

    /// Whether it is the hash of `password`. It takes as long as its cost says.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let mut key = Zeroizing::new([0; SEEN]);
        let length = (password.len() + 1).min(SEEN);
        let seen = password.len().min(SEEN);
        key[..seen].copy_from_slice(&password[..seen]);
        let output = Zeroizing::new(bcrypt::bcrypt(self.cost, self.salt, &key[..length]));
        bool::from(output[..23].ct_eq(&self.digest))
    }

    /// The hash of `password` as text, with a salt that everybody knows.
    #[cfg(test)]
    pub(super) fn write_for_tests(password: &str) -> String {
        let salt = *b"sixteen of salt.";
        let output = bcrypt::bcrypt(4, salt, &[password.as_bytes(), b"\0"].concat());
        format!("$2b$04${}{}", ENGINE.encode(salt), ENGINE.encode(&output[..23]))
    }

    /// What tells it from others.
    pub(super) fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0] = u8::try_from(self.cost).unwrap_or(u8::MAX);
        bytes[1..17].copy_from_slice(&self.salt);
        bytes[17..].copy_from_slice(&self.digest);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From bcrypt's reference implementation, and known by every library's tests.
    const KNOWN: [(&str, &str); 4] = [
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
        ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
        ("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"),
        (
            "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui",
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\
             0123456789chars after 72 are ignored",
        ),
    ];

    #[test]
    fn known_hashes_match_their_passwords_and_no_others() {
        for (text, password) in KNOWN {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.matches(password.as_bytes()), "{text}");
            assert!(!hash.matches(&password.as_bytes()[1..]));
            assert!(!hash.matches(b""));
            assert!(hash.bytes() == PasswordHash::parse(text).unwrap().bytes());
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let good = KNOWN[0].0;
        assert!(PasswordHash::parse(&good.replace("$2a$", "$2y$")).is_some());
        let cost = |cost| good.replace("$05$", cost);
        for bad in [
            String::new(),
            "hunter2".into(),
            good[..59].into(),
            format!("{good}x"),
            good.replace("$2a$", "$2x$"),
            good.replace("$2a$", "$1$"),
            good.replace('*', "ä"),
            good.replace("E5Y", "E!Y"),
            good.replace("E5YP", "EäP"),
            cost("$03$"),
            cost("$19$"),
            cost("$5$"),
            cost("$+5$"),
        ] {
            assert!(bad == good || PasswordHash::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn nothing_matches_the_fake() {
        assert!(!PasswordHash::fake(4).matches(b""));
        assert!(!PasswordHash::fake(4).matches(b"nobody is let in"));
    }
}
