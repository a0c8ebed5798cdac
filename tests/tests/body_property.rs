//! A measured body is the body within, whatever that does, and it ends exactly once.
//!
//! The outcome is foretold by a second, smaller telling of the rules.

mod meter;

use bytes::Bytes;
use dynamo_metrics_tests::script::{Says, Script, Step, poll_once};
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use http_body::Body;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof};
use proptest::{option, proptest};

use crate::meter::Meter;

/// What the rules make of a response that was read this far.
struct Rules {
    no_body: bool,
    expected: Option<u64>,
    bytes: u64,
    outcome: Option<&'static str>,
}

impl Rules {
    fn at_head(method: &Method, status: u16, declared: Option<u64>, says: Says) -> Self {
        let no_body = *method == Method::HEAD || matches!(status, 204 | 304);
        let exact = (says.upper == Some(says.lower)).then_some(says.lower);
        let outcome = (no_body || says.ended).then_some("success");
        Self { no_body, expected: declared.or(exact), bytes: 0, outcome }
    }

    fn polled(&mut self, got: Option<&Step>, ended: bool) {
        let outcome = match got {
            Some(Step::Data(data)) => {
                // Bytes after the end are no longer this request's.
                if self.outcome.is_none() {
                    self.bytes += data.len() as u64;
                }
                ended.then_some("success")
            }
            Some(Step::Trailers(_)) | None => Some("success"),
            Some(Step::Fail) => Some("server_error"),
            Some(Step::Pending | Step::Stuck | Step::Panic) => None,
        };
        self.outcome = self.outcome.or(outcome);
    }

    fn dropped(&self) -> &'static str {
        let whole = self.no_body || self.expected == Some(self.bytes);
        self.outcome.unwrap_or(if whole { "success" } else { "cancelled" })
    }
}

/// A few short lengths, so that declared lengths are often met, missed and passed by.
fn data() -> impl Strategy<Value = Step> {
    vec(any::<u8>(), 0..4).prop_map(|bytes| Step::Data(Bytes::from(bytes)))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => data(),
        3 => Just(Step::Pending),
        1 => Just(Step::Stuck),
        1 => Just(Step::Fail),
        1 => Just(Step::trailer("key", "value")),
    ]
}

/// Anything, true or not: the wrapper has no business to correct it.
fn says() -> impl Strategy<Value = Says> {
    let upper = option::of(0_u64..5);
    (any::<bool>(), any::<bool>(), 0_u64..8, upper).prop_map(|(one, other, lower, more)| Says {
        ended: one && other,
        lower,
        upper: more.map(|more| lower + more),
    })
}

fn script() -> impl Strategy<Value = Script> {
    (says(), vec((step(), says()), 0..8)).prop_map(|(first, steps)| Script::saying(first, steps))
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![4 => Just(Method::GET), 1 => Just(Method::POST), 1 => Just(Method::HEAD)]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![6 => Just(200_u16), 1 => Just(204), 1 => Just(304)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_measured_body_passes_on_what_its_inner_body_gives_and_ends_once(
        inner in script(),
        method in method(),
        status in status(),
        declared in option::of(0_u64..12),
        polls in 0_usize..11,
    ) {
        let meter = Meter::new();
        let mut plain = inner.clone();
        let mut response = Response::builder().status(status);
        if let Some(length) = declared {
            response = response.header(CONTENT_LENGTH, length);
        }
        let says = Says {
            ended: plain.is_end_stream(),
            lower: plain.size_hint().lower(),
            upper: plain.size_hint().upper(),
        };
        let mut rules = Rules::at_head(&method, status, declared, says);
        let mut body = meter.answer(method, response.body(inner).unwrap()).into_body();
        for poll in 0..=polls {
            prop_assert_eq!(body.is_end_stream(), plain.is_end_stream());
            prop_assert_eq!(body.size_hint().lower(), plain.size_hint().lower());
            prop_assert_eq!(body.size_hint().upper(), plain.size_hint().upper());
            let counts = meter.counts();
            prop_assert_eq!(counts.outcomes, Vec::from_iter(rules.outcome.map(|one| (one, 1.0))));
            prop_assert_eq!(counts.in_flight, if rules.outcome.is_none() { 1.0 } else { 0.0 });
            if poll < polls {
                let got = poll_once(&mut plain);
                prop_assert_eq!(&poll_once(&mut body), &got);
                rules.polled(got.as_ref(), plain.is_end_stream());
            }
        }
        drop(body);
        let counts = meter.counts();
        prop_assert_eq!(&counts.outcomes, &[(rules.dropped(), 1.0)]);
        prop_assert_eq!(counts.response_bytes, rules.bytes as f64);
        prop_assert_eq!((counts.started, counts.ended, counts.in_flight), (1.0, 1.0, 0.0));
    }
}
