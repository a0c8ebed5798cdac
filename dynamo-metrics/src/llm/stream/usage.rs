//! Token counts by the names that they go by, told at once or in parts.

use super::Usage;
use super::json::Json;

/// What was told of an answer's usage. More tokens than anybody generates are none that were
/// counted, so that 32 bits hold the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    input: Option<u32>,
    pub(super) output: Option<u32>,
    cached: Option<u32>,
    /// Anthropic counts what it reads from its cache and writes there apart from the input.
    cache_read: Option<u32>,
    cache_written: Option<u32>,
    reasoning: Option<u32>,
}

impl Told {
    /// Takes one number, if `name` is one that token counts go by.
    pub(super) fn tell(&mut self, name: &[u8], number: Option<u64>) {
        let Some(number) = number.and_then(|number| u32::try_from(number).ok()) else { return };
        if let Some(place) = self.place(name) {
            *place = Some(number);
        }
    }

    /// Reads an object of token counts, and of details to them.
    pub(super) fn read(&mut self, json: &mut Json<'_>) -> Option<()> {
        json.fields(|name, json| match name {
            _ if is_details(name) => json.fields(|name, json| self.number(name, json)),
            _ => self.number(name, json),
        })
    }

    /// Reads the next value, which is called `name`.
    pub(super) fn number(&mut self, name: &[u8], json: &mut Json<'_>) -> Option<()> {
        if self.place(name).is_none() {
            return json.skip();
        }
        self.tell(name, json.glance()?.number);
        Some(())
    }

    /// What is told later counts.
    pub(super) fn add(&mut self, later: &Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.cached = later.cached.or(self.cached);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_written = later.cache_written.or(self.cache_written);
        self.reasoning = later.reasoning.or(self.reasoning);
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All of it, if it tells output tokens.
    pub(super) fn usage(&self) -> Option<Usage> {
        let sum = [self.input, self.cache_read, self.cache_written];
        Some(Usage {
            input_tokens: sum.into_iter().flatten().map(u64::from).sum(),
            output_tokens: self.output?.into(),
            cached_tokens: self.cached.or(self.cache_read).map(u64::from),
            reasoning_tokens: self.reasoning.map(u64::from),
        })
    }

    fn place(&mut self, name: &[u8]) -> Option<&mut Option<u32>> {
        Some(match name {
            b"prompt_tokens" | b"input_tokens" | b"prompt_eval_count" | b"input_length" => {
                &mut self.input
            }
            b"completion_tokens" | b"output_tokens" | b"eval_count" | b"generated_tokens" => {
                &mut self.output
            }
            b"cached_tokens" | b"prompt_cache_hit_tokens" => &mut self.cached,
            b"cache_read_input_tokens" => &mut self.cache_read,
            b"cache_creation_input_tokens" => &mut self.cache_written,
            b"reasoning_tokens" => &mut self.reasoning,
            _ => return None,
        })
    }
}

/// Whether a value of this name tells what a count of usage is made of.
pub(super) fn is_details(name: &[u8]) -> bool {
    matches!(
        name,
        b"prompt_tokens_details"
            | b"completion_tokens_details"
            | b"input_tokens_details"
            | b"output_tokens_details"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> Told {
        let mut told = Told::default();
        assert!(Json::read(json.as_bytes(), |json| told.read(json)).is_some());
        told
    }

    #[test]
    fn counts_go_by_many_names() {
        let openai = r#"{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,
            "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":3}}"#;
        let usage = Usage::new(9, 4).cached_tokens(8).reasoning_tokens(3);
        assert_eq!(told(openai).usage(), Some(usage));
        let anthropic = r#"{"input_tokens":5,"cache_read_input_tokens":100,
            "cache_creation_input_tokens":20,"output_tokens":1}"#;
        assert_eq!(told(anthropic).usage(), Some(Usage::new(125, 1).cached_tokens(100)));
    }

    #[test]
    fn what_nobody_counted_is_not_told() {
        for none in ["{}", "null", r#"{"completion_tokens":null}"#, r#"{"output_tokens":1e12}"#] {
            assert_eq!(told(none).usage(), None, "{none}");
        }
    }

    #[test]
    fn parts_make_one() {
        let mut all = told(r#"{"input_tokens":25,"output_tokens":1}"#);
        all.add(&told(r#"{"output_tokens":15}"#));
        assert_eq!(all.usage(), Some(Usage::new(25, 15)));
    }
}
