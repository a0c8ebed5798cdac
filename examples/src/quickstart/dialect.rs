//! What a protocol over HTTP has to say, whichever it is.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures_util::{Stream, StreamExt as _};
use serde_json::Value;

use crate::engine::{Chunk, EngineFailure, Finish};
use crate::fault::Fault;
use crate::fields::Fields;

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) prompt: String,
    pub(crate) max_tokens: Option<u32>,
}

/// An answer, as far as it has come.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Sixteen digits; protocols put a word before them.
    pub(crate) id: String,
    pub(crate) model: Arc<str>,
    pub(crate) began: SystemTime,
    pub(crate) start: Instant,
    /// When the first token came.
    pub(crate) first: Option<Instant>,
    pub(crate) prompt_tokens: u32,
    pub(crate) tokens: u32,
    pub(crate) text: String,
}

/// One event or record of a stream.
#[derive(Debug)]
pub(crate) struct Event {
    /// Empty if it has none.
    pub(crate) name: &'static str,
    pub(crate) data: String,
}

/// How a stream is cut into events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Framing {
    /// Server-sent events, with a comment where nothing comes for long.
    Sse,
    /// The same, with an event called `ping` instead of the comment.
    SseWithPings,
    /// A record on each line.
    Ndjson,
}

/// How one endpoint speaks. A value of it serves one request.
pub(crate) trait Dialect: Send + 'static {
    const FRAMING: Framing = Framing::Sse;

    /// Whether the client asks for a stream, as far as can be told before anything is checked.
    fn wants_stream(&self, fields: &Fields) -> bool {
        fields.get("stream") == Some(&Value::Bool(true))
    }

    /// The model that the client asks for; none if the protocol leaves it to the server.
    fn model<'a>(&self, fields: &'a Fields) -> Result<Option<&'a str>, Fault> {
        let model = fields.text("model")?;
        model.map(Some).ok_or(Fault::invalid("model", "must be a string"))
    }

    /// Checks everything but the model.
    fn check(&mut self, fields: &Fields) -> Result<Asked, Fault>;

    /// What a stream begins with, before there is a token.
    fn begin(&mut self, answer: &Answer) -> Vec<Event>;

    /// A part of the answer, which has it already.
    fn more(&mut self, answer: &Answer, chunk: &Chunk) -> Vec<Event>;

    /// What comes after the last part.
    fn end(&mut self, answer: &Answer, finish: Finish) -> Vec<Event>;

    /// The stream fails, and ends with this.
    fn fail(&mut self, answer: &Answer, fault: &Fault) -> Vec<Event>;

    /// The answer in one piece.
    fn whole(&self, answer: &Answer, finish: Finish) -> Value;
}

impl Answer {
    pub(crate) fn new(model: &Arc<str>, prompt_tokens: u32) -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            model: Arc::clone(model),
            began: SystemTime::now(),
            start: Instant::now(),
            first: None,
            prompt_tokens,
            tokens: 0,
            text: String::new(),
        }
    }

    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.first.get_or_insert_with(Instant::now);
        self.tokens += chunk.count();
        self.text.extend(chunk.tokens().map(|token| token.text));
    }

    /// Takes all that comes, and tells why it ended.
    pub(crate) async fn fill(
        &mut self,
        chunks: impl Stream<Item = Result<Chunk, EngineFailure>>,
    ) -> Result<Finish, EngineFailure> {
        let mut chunks = std::pin::pin!(chunks);
        let mut finish = Finish::Stop;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            self.add(&chunk);
            finish = chunk.finish.unwrap_or(finish);
        }
        Ok(finish)
    }

    /// Seconds from 1970 to its beginning.
    pub(crate) fn created(&self) -> u64 {
        self.began.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }
}

impl Event {
    pub(crate) fn named(name: &'static str, json: &Value) -> Self {
        Self { name, data: json.to_string() }
    }
}

impl From<Value> for Event {
    fn from(json: Value) -> Self {
        Self::named("", &json)
    }
}
