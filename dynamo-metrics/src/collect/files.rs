//! The kernel's files: read as far as they may be long, and the numbers in them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::error::CollectError;

/// Most bytes that are read of a file. The longest is `/proc/stat`, a line of which names every
/// interrupt.
const MOST: u64 = 4 << 20;

/// The text of the file at `path`; what is no UTF-8 in it is replaced.
pub(super) fn read(path: &Path) -> Result<String, CollectError> {
    let text = || -> io::Result<String> {
        let mut bytes = Vec::with_capacity(4096);
        File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    };
    text().map_err(|source| CollectError::Read { path: path.to_owned(), source })
}

/// A number of the kernel's, which are whole and have at most 64 bits.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse::<u64>().ok().map(|number| number as f64)
}

/// What a line that starts with the word `key` says after it.
pub(super) fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let rest = |line: &'a str| line.strip_prefix(key)?.strip_prefix([' ', '\t']);
    text.lines().find_map(rest).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole_and_have_64_bits() {
        assert_eq!(number("18446744073709551615"), Some(1.844_674_407_370_955_2e19));
        for text in ["", "-1", "1.5", "18446744073709551616", "0x1", "1 ", "many"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_found_by_its_whole_word() {
        let text = "processes 7\nprocs_running  2 \nproc 1\n";
        assert_eq!(line(text, "proc"), Some("1"));
        assert_eq!(line(text, "procs_running"), Some("2"));
        assert_eq!(line(text, "procs"), None);
    }
}
