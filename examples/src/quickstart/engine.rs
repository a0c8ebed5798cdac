//! The engine: tokens out of a word list, paced like a model's.

use std::ops::Range;
use std::time::Duration;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Scope;
use futures_util::{Stream, stream};

/// Tokens of an answer that nothing cuts short.
const LENGTH: Range<u32> = 40..64;

const WORDS: [&str; 40] = [
    "The",
    " stream",
    " carries",
    " a",
    " token",
    " at",
    " time",
    ",",
    " and",
    " each",
    " gap",
    " is",
    " measured",
    " where",
    " it",
    " is",
    " made",
    ".",
    " A",
    " slow",
    " reader",
    " waits",
    " for",
    " nobody",
    ";",
    " fast",
    " one",
    " sees",
    " the",
    " model",
    " think",
    ".",
    " Every",
    " answer",
    " ends",
    " once",
    ",",
    " whatever",
    " ends",
    " it",
];

/// A model that knows forty words.
#[derive(Debug)]
pub(crate) struct Engine {
    scope: Scope,
    pace: Pace,
    fail_rate: f64,
}

/// How fast tokens come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Time to the first chunk.
    pub(crate) first: Duration,
    /// Time between chunks.
    pub(crate) next: Duration,
    pub(crate) tokens_per_chunk: u32,
}

/// What is to be generated.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub(crate) prompt: String,
    pub(crate) max_tokens: Option<u32>,
}

/// A part of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where its tokens stand in the answer.
    place: Range<u32>,
    /// Why this is the last one, if it is.
    pub(crate) finish: Option<Finish>,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// Its place in the vocabulary.
    pub(crate) id: usize,
    pub(crate) text: &'static str,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It is whole.
    Stop,
    /// It is as long as it may be.
    Length,
}

/// The engine gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EngineFailure;

struct Run {
    pace: Pace,
    random: fastrand::Rng,
    made: u32,
    length: u32,
    finish: Finish,
    fail_after: Option<u32>,
}

impl Engine {
    pub(crate) fn new(scope: Scope, pace: Pace, fail_rate: f64) -> Self {
        Self { scope, pace, fail_rate }
    }

    /// Generates an answer to a prompt, as fast as the pace lets it.
    ///
    /// Dropping the stream cancels the generation. A prompt that holds `fail-after:N` makes it
    /// fail after N tokens; with N = 0, before the stream begins.
    #[instrumented_endpoint(name = "generate", scope = &self.scope)]
    pub(crate) async fn generate(
        &self,
        generation: Generation,
    ) -> Result<impl Stream<Item = Result<Chunk, EngineFailure>> + Send + use<>, EngineFailure>
    {
        let mut random = fastrand::Rng::new();
        let natural = random.u32(LENGTH);
        let asked = generation.max_tokens.unwrap_or(u32::MAX);
        let length = natural.min(asked);
        let by_chance = random.f64() < self.fail_rate;
        // A failure past the end does not happen.
        let fail_after = fail_after(&generation.prompt)
            .or_else(|| by_chance.then(|| random.u32(1..=length)))
            .filter(|&after| after <= length);
        if fail_after == Some(0) {
            return Err(EngineFailure);
        }
        let run = Run {
            pace: self.pace,
            random,
            made: 0,
            length,
            finish: if asked <= natural { Finish::Length } else { Finish::Stop },
            fail_after,
        };
        Ok(stream::unfold(Some(run), |run| async {
            let mut run = run?;
            match run.next().await {
                Ok(chunk) => {
                    let rest = chunk.finish.is_none().then_some(run);
                    Some((Ok(chunk), rest))
                }
                Err(failure) => Some((Err(failure), None)),
            }
        }))
    }
}

impl Run {
    async fn next(&mut self) -> Result<Chunk, EngineFailure> {
        let pause = if self.made == 0 { self.pace.first } else { self.pace.next };
        let jitter = 0.75 + 0.5 * self.random.f64();
        tokio::time::sleep(pause.mul_f64(jitter)).await;
        if self.fail_after.is_some_and(|after| self.made >= after) {
            return Err(EngineFailure);
        }
        let until = self.fail_after.unwrap_or(self.length).min(self.length);
        let start = self.made;
        self.made += self.pace.tokens_per_chunk.min(until - start);
        let finish = (self.made >= self.length && self.fail_after.is_none()).then_some(self.finish);
        Ok(Chunk { place: start..self.made, finish })
    }
}

impl Chunk {
    pub(crate) fn tokens(&self) -> impl ExactSizeIterator<Item = Token> + use<> {
        self.place.clone().map(|place| {
            let id = place as usize % WORDS.len();
            Token { id, text: WORDS[id] }
        })
    }

    pub(crate) fn count(&self) -> u32 {
        self.place.end - self.place.start
    }

    pub(crate) fn text(&self) -> String {
        self.tokens().map(|token| token.text).collect()
    }
}

/// Words of a prompt, which stand for its tokens.
pub(crate) fn count_tokens(prompt: &str) -> u32 {
    u32::try_from(prompt.split_whitespace().count()).unwrap_or(u32::MAX)
}

fn fail_after(prompt: &str) -> Option<u32> {
    let (_, rest) = prompt.split_once("fail-after:")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use dynamo_metrics::registry::Registry;
    use futures_util::StreamExt as _;

    use super::*;

    fn engine(tokens_per_chunk: u32) -> Engine {
        let pace = Pace { first: Duration::ZERO, next: Duration::ZERO, tokens_per_chunk };
        Engine::new(Registry::new().component("engine"), pace, 0.0)
    }

    async fn run(
        engine: &Engine,
        prompt: &str,
        max_tokens: Option<u32>,
    ) -> (u32, bool, Option<Finish>) {
        let generation = Generation { prompt: prompt.into(), max_tokens };
        let chunks: Vec<_> = engine.generate(generation).await.unwrap().collect().await;
        let tokens = chunks.iter().flatten().map(Chunk::count).sum();
        let failed = chunks.iter().any(Result::is_err);
        let finish = chunks.last().and_then(|last| last.clone().ok()?.finish);
        (tokens, failed, finish)
    }

    #[tokio::test]
    async fn answers_have_the_length_that_was_asked_for() {
        assert_eq!(run(&engine(1), "hi", Some(5)).await, (5, false, Some(Finish::Length)));
        assert_eq!(run(&engine(4), "hi", Some(10)).await, (10, false, Some(Finish::Length)));
        let (tokens, failed, finish) = run(&engine(3), "hi", None).await;
        assert!(LENGTH.contains(&tokens) && !failed && finish == Some(Finish::Stop));
    }

    #[tokio::test]
    async fn a_prompt_can_ask_for_a_failure() {
        assert_eq!(run(&engine(1), "please fail-after:3, thanks", None).await.0, 3);
        assert!(run(&engine(2), "fail-after:3", None).await.1);
        // Past the end of the answer there is nothing to fail.
        let whole = run(&engine(1), "fail-after:1000", Some(5)).await;
        assert_eq!(whole, (5, false, Some(Finish::Length)));
        let generation = Generation { prompt: "fail-after:0".into(), max_tokens: None };
        assert!(engine(1).generate(generation).await.is_err());
    }
}
