//! The attribute within tests, tasks and registries that are at odds with it.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::{ended, in_flight, page, poll, poll_next, run};

#[instrumented_endpoint(scope = scope)]
async fn generate(scope: &Scope, ok: bool) -> Result<u8, ()> {
    tokio::task::yield_now().await;
    ok.then_some(7).ok_or(())
}

#[instrumented_endpoint(scope = scope)]
async fn tokens(scope: &Scope) -> BoxStream<'static, u8> {
    stream::iter(0..3).boxed()
}

#[instrumented_endpoint(name = "a_test_of_its_own")]
#[tokio::test]
async fn a_test_may_be_measured() {
    assert_eq!(in_flight(Registry::global(), "a_test_of_its_own"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_times_out_was_cancelled() {
    #[instrumented_endpoint(scope = scope)]
    async fn stuck(scope: &Scope) {
        std::future::pending::<()>().await;
    }

    let registry = Registry::new();
    let limit = Duration::from_secs(30);
    assert!(tokio::time::timeout(limit, stuck(&registry)).await.is_err());
    assert_eq!(ended(&registry, "stuck"), "cancelled=1");
}

#[tokio::test]
async fn the_branch_that_a_select_leaves_was_cancelled() {
    let registry = Registry::new();
    tokio::select! {
        biased;
        _ = generate(&registry, true) => unreachable!("it waits at least once"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(ended(&registry, "generate"), "cancelled=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_in_tasks_are_counted_as_they_end() {
    #[instrumented_endpoint(scope = scope)]
    async fn task(scope: Scope, number: u8) -> Result<u8, u8> {
        tokio::task::yield_now().await;
        assert!(number < 30 && !scope.is_endpoint(), "a panic in a task");
        if number < 20 { Ok(number) } else { Err(number) }
    }

    let registry = Registry::new();
    let backend = registry.component("backend");
    let tasks: Vec<_> = (0..35).map(|n| tokio::spawn(task(backend.clone(), n))).collect();
    let mut joined = 0;
    for task in tasks {
        joined += u8::from(task.await.is_ok());
    }
    assert_eq!(joined, 30);
    assert_eq!(ended(&registry, "task"), "panic=5 server_error=10 success=20");
}

#[tokio::test]
async fn a_task_that_is_aborted_was_cancelled() {
    #[instrumented_endpoint(scope = scope)]
    async fn stuck(scope: Scope) {
        std::future::pending::<()>().await;
    }

    let registry = Registry::new();
    let task = tokio::spawn(stuck(registry.component("backend")));
    tokio::task::yield_now().await;
    assert_eq!(in_flight(&registry, "stuck"), Some(1.0));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(ended(&registry, "stuck"), "cancelled=1");
}

#[test]
fn first_runs_that_race_share_their_series() {
    let registry = Registry::new();
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for ok in [true, false] {
                    let _ = runtime.block_on(generate(&registry.component("backend"), ok));
                }
            });
        }
    });
    assert_eq!(ended(&registry, "generate"), "server_error=8 success=8");
}

#[test]
fn a_name_that_is_taken_does_not_fail_the_run() {
    let registry = Registry::new();
    let taken: Gauge =
        registry.gauge("dynamo_component_requests_total", "Not ours.").register().unwrap();
    taken.set(99);
    for ok in [true, false] {
        let mut run = pin!(generate(&registry, ok));
        assert!(poll(run.as_mut()).is_pending());
        assert_eq!(poll(run.as_mut()), Poll::Ready(ok.then_some(7).ok_or(())));
    }
    assert_eq!(page(&registry).sum("dynamo_component_requests_total", &[]), Some(99.0));
}

#[test]
fn a_name_that_is_taken_does_not_change_a_stream() {
    let registry = Registry::new();
    let taken: Gauge =
        registry.gauge("dynamo_component_requests_total", "Not ours.").register().unwrap();
    taken.set(99);
    let mut stream = run(tokens(&registry));
    for item in 0..3 {
        assert_eq!(poll_next(&mut stream), Poll::Ready(Some(item)));
    }
    assert_eq!(poll_next(&mut stream), Poll::Ready(None));
    assert_eq!(page(&registry).sum("dynamo_component_output_tokens_total", &[]), None);
}
