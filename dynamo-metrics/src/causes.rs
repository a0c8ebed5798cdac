//! Errors, as people read them.

use std::error::Error;

/// An error with its causes.
pub(crate) fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(u8, #[source] Option<Box<Level>>);

    #[test]
    fn every_cause_is_told_once() {
        let inner = Level(2, Some(Box::new(Level(3, None))));
        assert_eq!(whole(&Level(1, Some(Box::new(inner)))), "1: 2: 3");
        assert_eq!(whole(&Level(1, None)), "1");
    }
}
