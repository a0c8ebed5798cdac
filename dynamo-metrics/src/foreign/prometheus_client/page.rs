//! A page that their encoder writes, mended on the way.

use std::fmt;

/// Takes what their encoder writes, family by family.
///
/// It writes help and names as they were given, so that a line feed in one would start a line of its
/// own, or end the page. It ends its own lines by a piece of text that is nothing else, which tells
/// them apart. Families stand on pages of their own: what is wrong with one costs no other, and one
/// name may come twice, under the labels of two parts of a registry.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    /// Where families start.
    families: Vec<usize>,
    /// Where the line at hand starts.
    line: usize,
    /// The last piece of the line at hand, if that tells help: it is the help, if nothing follows.
    help: Option<String>,
}

/// What starts a line that tells help, and so a family.
const HELP: &str = "# HELP ";

/// What ends a page.
const END: &str = "# EOF\n";

impl Page {
    /// Ends the page, and calls `seen` with each family.
    pub(super) fn finish(mut self, mut seen: impl FnMut(&str)) {
        // What failed may have left half a line.
        self.text.truncate(self.line);
        self.end_family();
        let ends = self.families.iter().skip(1).copied().chain([self.text.len()]);
        for (start, end) in self.families.iter().zip(ends) {
            seen(self.text.get(*start..end).unwrap_or_default());
        }
    }

    fn end_family(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(END);
        }
    }

    /// Writes help, or a piece of any other line.
    fn push(&mut self, piece: &str, is_help: bool) {
        for c in piece.chars() {
            match c {
                '\n' => self.text.push_str("\\n"),
                '\\' if is_help => self.text.push_str("\\\\"),
                '"' if is_help => self.text.push_str("\\\""),
                c => self.text.push(c),
            }
        }
    }
}

impl fmt::Write for Page {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let starts = self.text.len() == self.line && self.help.is_none();
        if piece == "\n" {
            if let Some(help) = self.help.take() {
                self.push(&help, true);
            }
            self.text.push('\n');
            self.line = self.text.len();
        } else if starts && piece == HELP {
            self.end_family();
            self.line = self.text.len();
            self.families.push(self.line);
            self.text.push_str(HELP);
            self.help = Some(String::new());
        } else {
            let before = self.help.as_mut().map(|last| std::mem::replace(last, piece.to_owned()));
            self.push(before.as_deref().unwrap_or(piece), false);
        }
        Ok(())
    }
}
