//! JSON at a glance: what a value says, whatever type it turns out to have.
//!
//! Servers send what their authors thought of. A field of another type than expected says nothing
//! here, and does not hide what the rest of its chunk says. Nothing is kept of any text but whether
//! it is empty.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a value says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Glance {
    /// It says anything at all: it is not null, false, zero or empty.
    pub(super) said: bool,
    /// It holds text that is not empty: itself, or, in a structure, under one of the names that
    /// generated content goes by.
    pub(super) filled: bool,
    /// It is a number that is not negative; without its fraction.
    pub(super) number: Option<u64>,
}

/// The elements of a list, taken together; nothing is kept of each.
#[derive(Debug, Default)]
pub(super) struct All<T>(pub(super) T);

/// Takes one more element of a list.
pub(super) trait Gather: Default {
    type Element: for<'de> Deserialize<'de>;

    fn gather(&mut self, element: Self::Element);
}

impl Gather for Glance {
    type Element = Self;

    fn gather(&mut self, element: Self) {
        self.said = true;
        self.filled |= element.filled;
    }
}

impl<'de, T: Gather> Deserialize<'de> for All<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(T);

        impl<'de, T: Gather> Visitor<'de> for ListVisitor<T> {
            type Value = All<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<All<T>, A::Error> {
                while let Some(element) = list.next_element()? {
                    self.0.gather(element);
                }
                Ok(All(self.0))
            }
        }

        deserializer.deserialize_seq(ListVisitor(T::default()))
    }
}

impl<'de> Deserialize<'de> for Glance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GlanceVisitor;

        impl<'de> Visitor<'de> for GlanceVisitor {
            type Value = Glance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Glance, E> {
                let filled = !text.is_empty();
                Ok(Glance { said: filled, filled, number: None })
            }

            fn visit_unit<E>(self) -> Result<Glance, E> {
                Ok(Glance::default())
            }

            fn visit_bool<E>(self, said: bool) -> Result<Glance, E> {
                Ok(Glance { said, ..Glance::default() })
            }

            fn visit_u64<E>(self, number: u64) -> Result<Glance, E> {
                Ok(Glance { said: number != 0, number: Some(number), ..Glance::default() })
            }

            fn visit_i64<E>(self, _: i64) -> Result<Glance, E> {
                // Whole numbers that are not negative come as `u64`.
                Ok(Glance { said: true, ..Glance::default() })
            }

            fn visit_f64<E>(self, number: f64) -> Result<Glance, E> {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "saturates"
                )]
                let whole = (number >= 0.0).then_some(number as u64);
                Ok(Glance { said: true, number: whole, ..Glance::default() })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Glance, A::Error> {
                let mut all = Glance::default();
                while let Some(element) = list.next_element()? {
                    all.gather(element);
                }
                Ok(all)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Glance, A::Error> {
                let mut all = Glance::default();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    all.said = true;
                    // Parts of content, and of tool calls; a `type` or an `id` is no content.
                    match &*key {
                        "text" | "refusal" | "function" | "name" | "arguments" => {
                            all.gather(map.next_value()?);
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(all)
            }
        }

        deserializer.deserialize_any(GlanceVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_can_be_glanced_at() {
        let glance = |json: &str| serde_json::from_str::<Glance>(json).unwrap();
        for nothing in ["null", "false", "\"\"", "[]", "{}"] {
            assert_eq!(glance(nothing), Glance::default(), "{nothing}");
        }
        for said in ["true", "-1", "[0]", r#"{"message":"x"}"#, r#"{"code":null}"#] {
            let glance = glance(said);
            assert!(glance.said && !glance.filled, "{said}");
        }
        for filled in [r#""x""#, r#"["", "x"]"#, r#"[{"type":"text","text":"x"}]"#] {
            assert!(glance(filled).filled, "{filled}");
        }
        assert_eq!(glance("7").number, Some(7));
        assert_eq!(glance("7.9").number, Some(7));
        assert_eq!(glance("-7.9").number, None);
    }
}
