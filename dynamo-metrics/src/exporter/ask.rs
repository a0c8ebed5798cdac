//! Asking before a scrape: callbacks, collectors and backends, each on its own, for as long as the
//! scrape may wait.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::registry::{
    Answer, Asked, Later, Registry, Source, SourceKind, Told, Trouble, Walk, panic_message,
};

/// Where a scraper says how long it waits, in seconds.
pub(super) const SCRAPE_TIMEOUT: HeaderName =
    HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// What an exporter says of itself where it asks another one.
pub(super) const FROM_BACKEND: HeaderName = HeaderName::from_static("x-dynamo-metrics-backend");

/// Series that are put together in no time.
const FEW: usize = 1_000;

/// What is left of that for sending the page, at most.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a thread may be at one update callback before another one goes on with the others.
const STUCK: Duration = Duration::from_millis(50);

/// Most time that anybody may take, so that it can be added to any time.
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is being asked just now. Scrapes that come meanwhile wait for the same answer.
#[derive(Debug, Default)]
pub(super) struct Questions {
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    /// By the address of what is asked, which the run keeps alive.
    sources: HashMap<usize, Run>,
    refresh: Option<Run>,
}

/// One source, or all update callbacks, being asked.
#[derive(Debug, Clone)]
struct Run {
    asked: Option<Arc<Asked>>,
    answer: watch::Receiver<Option<Arc<Answer>>>,
    start: Instant,
}

/// How long a scrape waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// This one, for as long as its scraper does.
    own: Duration,
    /// Any: so long may an answer take, whoever asked first.
    most: Duration,
    /// The scraper is an exporter whose backend this is. Others' backends are not asked for it, since
    /// it may be one of them.
    is_backend: bool,
}

impl Questions {
    /// A walk over what there is, after asking everybody who can be asked in time.
    pub(super) async fn walk(&self, registry: &Registry, patience: Patience) -> Walk {
        let mut asked = registry.asked();
        // Without a runtime there is nobody to wait with.
        let Some(runtime) = Handle::try_current().ok().filter(|_| !asked.is_empty()) else {
            return registry.walk();
        };
        if patience.is_backend {
            let is_backend = |source: &Source| source.kind() == SourceKind::Backend;
            asked.retain(|asked| !asked.source().is_some_and(is_backend));
        }
        let (kept, asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(|it| it.is_kept());
        let deadline = Instant::now() + patience.own;
        let runs = self.start(registry, asked, &runtime, patience.most);
        let mut told = Vec::new();
        for run in runs {
            match (run.wait(deadline, patience.most).await, run.asked) {
                (Some(answer), Some(asked)) => told.push((asked, answer)),
                (Some(_), None) => {}
                (None, asked) => late(registry, asked.as_ref()),
            }
        }
        // What is known of others is told as it is after they were asked.
        let answer = |asked: Arc<Asked>| Some((Arc::clone(&asked), Arc::new(asked.ask_now()?)));
        told.extend(kept.into_iter().filter_map(answer));
        self.forget();
        merge(registry, told, deadline).await
    }

    /// Asks everybody who is not at it already.
    fn start(
        &self,
        registry: &Registry,
        asked: Vec<Arc<Asked>>,
        runtime: &Handle,
        most: Duration,
    ) -> Vec<Run> {
        let mut runs = self.lock();
        let mut before = std::mem::take(&mut runs.sources);
        let mut all = Vec::with_capacity(asked.len() + 1);
        // Callbacks that are at it already are left out by themselves.
        let refreshing = runs.refresh.take().filter(|run| !run.is_over() && !run.is_late(most));
        let refreshing = refreshing.unwrap_or_else(|| refresh(registry, &asked, runtime));
        runs.refresh = Some(refreshing.clone());
        all.push(refreshing);
        for asked in asked.into_iter().filter(|asked| asked.source().is_some()) {
            let address = Arc::as_ptr(&asked).addr();
            let run = before.remove(&address).filter(|run| !run.is_over());
            let run = run.unwrap_or_else(|| ask(asked, runtime, most));
            all.push(run.clone());
            runs.sources.insert(address, run);
        }
        all
    }

    /// Keeps no answer that nobody waits for.
    fn forget(&self) {
        self.lock().sources.retain(|_, run| !run.is_over());
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scrape goes on without this one.
fn late(registry: &Registry, asked: Option<&Arc<Asked>>) {
    match asked.and_then(|asked| asked.source()) {
        Some(source) => source.count(Trouble {
            reason: "timeout",
            count: 1,
            text: "the answer did not come in time".to_owned(),
        }),
        None => registry.count_late_callback(),
    }
}

impl Run {
    fn new(asked: Option<Arc<Asked>>) -> (watch::Sender<Option<Arc<Answer>>>, Self) {
        let (tell, answer) = watch::channel(None);
        (tell, Self { asked, answer, start: Instant::now() })
    }

    /// Nobody is at it any more.
    fn is_over(&self) -> bool {
        self.answer.borrow().is_some() || self.answer.has_changed().is_err()
    }

    /// It takes longer than it may; nobody waits for it any more.
    fn is_late(&self, most: Duration) -> bool {
        self.start.elapsed() > most
    }

    /// The answer, if it comes in time.
    async fn wait(&self, deadline: Instant, most: Duration) -> Option<Arc<Answer>> {
        let mut answer = self.answer.clone();
        if self.is_late(most) {
            return answer.borrow_and_update().clone();
        }
        let coming = timeout_at(deadline, answer.wait_for(Option::is_some)).await;
        match coming {
            Ok(Ok(answer)) => answer.clone(),
            // There was no thread for it, or its runtime is going down.
            Ok(Err(_)) | Err(_) => None,
        }
    }
}

/// All update callbacks, which threads take one after another.
struct Round {
    registry: Registry,
    callbacks: Vec<Arc<Asked>>,
    /// The next one to be taken.
    next: AtomicUsize,
    done: AtomicUsize,
    tell: watch::Sender<Option<Arc<Answer>>>,
}

impl Round {
    /// Works until there is no callback left.
    fn work(self: Arc<Self>) {
        while let Some(callback) = self.callbacks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            self.registry.refresh(std::slice::from_ref(callback));
            if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.callbacks.len() {
                let _ = self.tell.send(Some(Arc::default()));
            }
        }
    }

    /// Puts one more thread to it whenever those that are at it have not got on, so that a callback
    /// that blocks keeps no other from running.
    async fn watch(self: Arc<Self>) {
        loop {
            let before = self.next.load(Ordering::Relaxed);
            sleep(STUCK).await;
            let now = self.next.load(Ordering::Relaxed);
            if now >= self.callbacks.len() {
                return;
            }
            if now == before {
                let round = Arc::clone(&self);
                thread(move || round.work());
            }
        }
    }
}

/// Runs the update callbacks, where they may block.
fn refresh(registry: &Registry, asked: &[Arc<Asked>], runtime: &Handle) -> Run {
    let (tell, run) = Run::new(None);
    let callbacks: Vec<_> =
        asked.iter().filter(|asked| asked.source().is_none()).map(Arc::clone).collect();
    if callbacks.is_empty() {
        let _ = tell.send(Some(Arc::default()));
    } else {
        let (registry, next, done) = (registry.clone(), AtomicUsize::new(0), AtomicUsize::new(0));
        let round = Arc::new(Round { registry, callbacks, next, done, tell });
        let first = Arc::clone(&round);
        thread(move || first.work());
        runtime.spawn(round.watch());
    }
    run
}

/// Asks one source.
fn ask(asked: Arc<Asked>, runtime: &Handle, most: Duration) -> Run {
    let (tell, run) = Run::new(Some(Arc::clone(&asked)));
    if asked.is_later() {
        runtime.spawn(async move {
            let asking = async {
                match asked.ask_later(most) {
                    Some(later) => caught(later).await,
                    None => Answer::default(),
                }
            };
            // One that does not end is asked anew by the next scrape, and those that wait are told so.
            let Ok(answer) = timeout(most, asking).await else { return };
            let answer = asked.source().map(|source| source.hear(answer));
            let _ = tell.send(Some(Arc::new(answer.unwrap_or_default())));
        });
    } else {
        thread(move || {
            let answer = asked.ask_now().unwrap_or_default();
            let _ = tell.send(Some(Arc::new(answer)));
        });
    }
    run
}

/// Runs what may block for ever in a thread of its own: tokio's threads for such things would keep
/// the runtime from ending. Without a thread there is no answer this time.
fn thread(work: impl FnOnce() + Send + 'static) {
    let started = std::thread::Builder::new().name("dynamo-metrics".to_owned()).spawn(work);
    if let Err(error) = started {
        tracing::warn!(%error, "no thread to ask for values in");
    }
}

/// The answer of one who may panic on the way.
async fn caught(later: Later) -> Answer {
    let mut later = pin!(later);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| later.as_mut().poll(cx))) {
        Ok(answer) => answer,
        Err(panic) => Poll::Ready(Answer::trouble("panic", panic_message(&*panic))),
    })
    .await
}

/// Puts together what was said: here if it is little, else where it may take a while.
async fn merge(registry: &Registry, told: Vec<Told>, deadline: Instant) -> Walk {
    let families = told.iter().flat_map(|(_, answer)| answer.families.iter());
    if families.map(|family| family.series.len()).sum::<usize>() <= FEW {
        return registry.walk_with(told);
    }
    let (tell, walk) = oneshot::channel();
    let sources: Vec<_> = told.iter().map(|(asked, _)| Arc::clone(asked)).collect();
    let own = registry.clone();
    thread(move || drop(tell.send(own.walk_with(told))));
    if let Ok(Ok(walk)) = timeout_at(deadline + MARGIN / 2, walk).await {
        return walk;
    }
    for asked in &sources {
        late(registry, Some(asked));
    }
    registry.walk_with(Vec::new())
}

/// How long a scrape may wait for others: as long as its scraper does, and `most`, but for what it
/// takes to send the page.
pub(super) fn patience(headers: &HeaderMap, most: Duration) -> Patience {
    let told = headers.get(SCRAPE_TIMEOUT).and_then(|value| value.to_str().ok());
    let told = told.and_then(|text| text.trim().parse::<f64>().ok()).filter(|told| *told > 0.0);
    let told = told.and_then(|told| Duration::try_from_secs_f64(told).ok());
    let less = |whole: Duration| whole.saturating_sub(MARGIN.min(whole / 2)).min(LONGEST);
    let own = less(told.map_or(most, |told| told.min(most)));
    Patience { own, most: less(most), is_backend: headers.contains_key(FROM_BACKEND) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_keeps_the_time_that_its_scraper_has() {
        let most = Duration::from_secs(10);
        for (told, wanted) in [
            (None, 9_500),
            (Some("5"), 4_500),
            (Some("1.000"), 500),
            (Some("0.2"), 100),
            (Some("60"), 9_500),
            (Some("0"), 9_500),
            (Some("-1"), 9_500),
            (Some("NaN"), 9_500),
            (Some("inf"), 9_500),
            (Some("1e300"), 9_500),
            (Some("soon"), 9_500),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(told) = told {
                headers.insert(SCRAPE_TIMEOUT, told.parse().unwrap());
            }
            assert_eq!(patience(&headers, most).own, Duration::from_millis(wanted), "{told:?}");
        }
    }
}
