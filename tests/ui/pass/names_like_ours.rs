//! Everything that generated code names, the caller names as well.

#![deny(warnings)]
#![allow(non_camel_case_types)]

mod engine {
    use dynamo_metrics::instrumented_endpoint;
    use dynamo_metrics::label::{LabelSet as DeriveSet, LabelValue as DeriveValue};
    use futures_util::stream::{BoxStream, iter};

    pub struct Tag;
    pub struct Call;
    pub trait LabelValue {}
    pub trait LabelSet {}
    pub trait ByResult {}
    pub trait ByValue {}
    pub trait IsResult {}

    impl LabelValue for Tag {}
    impl LabelSet for Tag {}
    impl ByResult for Tag {}
    impl ByValue for Tag {}
    impl IsResult for Call {}

    pub fn call() -> u8 {
        1
    }
    pub fn start() -> u8 {
        2
    }
    pub fn finish() -> u8 {
        3
    }
    pub fn metered() -> u8 {
        4
    }
    pub const NAMES: u8 = 5;
    pub static VALUE: u8 = 6;

    #[derive(DeriveValue)]
    pub enum Option {
        None,
    }

    #[derive(DeriveSet)]
    pub struct Labels {
        pub values: Option,
        pub visit: bool,
    }

    #[instrumented_endpoint(name = "value", labels(value = value, call = call))]
    pub async fn value(value: bool, call: bool, never: u8) -> u8 {
        let (_tag, _call) = (Tag, Call);
        let stream = self::call() + start() + finish() + metered() + NAMES + VALUE;
        stream + never + u8::from(value) + u8::from(call)
    }

    #[instrumented_endpoint]
    pub async fn stream(stream: Vec<u8>, error: u8) -> Result<BoxStream<'static, u8>, u8> {
        let (item, value) = (stream, error);
        if value > 0 {
            return Err(value);
        }
        Ok(Box::pin(iter(item)))
    }
}

fn main() {
    drop((engine::value(true, false, 1), engine::stream(Vec::new(), 0)));
    let labels = engine::Labels { values: engine::Option::None, visit: true };
    drop(labels);
}
