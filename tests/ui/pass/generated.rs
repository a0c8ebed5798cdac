//! Whole functions and blocks that macros by example write.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};

macro_rules! engine {
    ($name:ident, $($method:ident($($argument:ident: $type:ty),*) -> $output:ty $body:block)*) => {
        struct $name {
            scope: Scope,
        }

        #[instrumented_endpoint(scope = self.scope)]
        impl $name {
            $(fn $method(self: &$name, $($argument: $type),*) -> $output $body)*
        }
    };
}

macro_rules! endpoint {
    ($(#[$attribute:meta])* $function:ident, $($argument:tt)*) => {
        $(#[$attribute])*
        #[instrumented_endpoint($($argument)*)]
        fn $function(count: usize) -> Option<usize> {
            count.checked_sub(1)
        }
    };
}

engine! {
    Echo,
    twice(text: &str) -> String { text.repeat(2) }
    parse(text: &str) -> Result<u8, std::num::ParseIntError> {
        let n: u8 = text.parse()?;
        Ok(n)
    }
}

endpoint!(#[must_use] less, name = "fewer", ok_if = Option::is_some, buckets = [1, 2]);

fn main() {
    let echo = Echo { scope: Registry::global().component("echo") };
    assert_eq!(echo.twice("a"), "aa");
    assert!(echo.parse("x").is_err());
    assert_eq!((less(1), less(0)), (Some(0), None));
    let text = dynamo_metrics::encode::text(Registry::global());
    for line in [
        "requests_total{dynamo_component=\"echo\",dynamo_endpoint=\"Echo__twice\"} 1\n",
        "request_outcomes_total{dynamo_component=\"echo\",dynamo_endpoint=\"Echo__parse\",outcome=\"server_error\"} 1\n",
        "request_outcomes_total{dynamo_endpoint=\"fewer\",outcome=\"server_error\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
