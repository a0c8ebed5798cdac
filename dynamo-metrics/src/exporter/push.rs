//! The push door: pages of processes that do not live long enough to be scraped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::doors::lines;
use crate::clock::{self, Instant};
use crate::foreign::{Collected, Family, Format, Limits, parse};
use crate::metric::FloatGauge;
use crate::registry::catalogue::{MetricInfo, SetInfo};
use crate::registry::{Answer, Ask, CollectorHandle, Registry, SameLabel, SourceKind};
use crate::unit::Unit;

/// How long a page is shown, unless the door is told otherwise.
const EXPIRY: Duration = Duration::from_secs(300);

/// Longest page, in bytes, and most series of one, unless the door is told otherwise: what a job has
/// to say, for as many jobs as there may be.
const PAGE: (usize, usize) = (1 << 20, 10_000);

/// Most endpoints with a page, unless the door is told otherwise.
const MOST: usize = 64;

const PUSH_TIME: MetricInfo = MetricInfo::of::<FloatGauge>()
    .named("dynamo_metrics_push_time_seconds", "When the page came that was pushed last.")
    .unit(Unit::Seconds);

pub(super) const INFO: SetInfo =
    SetInfo::new("Pushes", "dynamo_metrics::exporter", "An endpoint whose pages are pushed.")
        .source("The push door, when a page comes.")
        .metrics(&[PUSH_TIME]);

/// Takes pages from processes that do not live long enough to be scraped, where an exporter
/// [accepts](crate::exporter::Exporter::accept_pushes) them.
///
/// `PUT /push/{namespace}/{component}/{endpoint}` with a page of metrics, in a format that its
/// `Content-Type` names (text, if there is none), has it shown under that endpoint's labels until the
/// next one comes, `DELETE` does, or it expires. `dynamo_metrics_push_time_seconds` says when it
/// came. It is checked as a backend's is: the answer tells what was left out.
///
/// # Examples
/// ```
/// use dynamo_metrics::exporter::{Exporter, Pushes};
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry));
/// # drop(exporter);
/// ```
#[derive(Debug, Clone)]
pub struct Pushes {
    registry: Registry,
    expiry: Duration,
    most: usize,
    limits: Limits,
    groups: Arc<Mutex<HashMap<[String; 3], Group>>>,
}

/// What was pushed for one endpoint.
#[derive(Debug)]
struct Group {
    page: Arc<Mutex<Option<Page>>>,
    source: CollectorHandle,
}

#[derive(Debug)]
struct Page {
    families: Arc<Vec<Family>>,
    came: Instant,
    expiry: Duration,
}

impl Pushes {
    /// None so far, in `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let (registry, groups) = (registry.clone(), Arc::default());
        let limits = Limits::default().bytes(PAGE.0).series(PAGE.1);
        Self { registry, expiry: EXPIRY, most: MOST, limits, groups }
    }

    /// Shows a page for so long (default: 5 minutes).
    #[must_use]
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }

    /// Keeps pages of so many endpoints (default: 64).
    #[must_use]
    pub fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Takes and keeps so much of a page (default: 1 MiB, 10 000 series; see [`Limits`]).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Bytes that a page may have.
    pub(super) fn most_bytes(&self) -> usize {
        self.limits.most_bytes()
    }

    /// Takes a page that came at `came`; what the one who sent it is told.
    pub(super) fn put(
        &self,
        path: &[&str; 3],
        headers: &HeaderMap,
        page: &[u8],
        came: (Instant, u64),
    ) -> (StatusCode, String) {
        let content_type =
            headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let Some(format) = content_type.map_or(Some(Format::Text), Format::of_content_type) else {
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "no format of metrics\n".to_owned());
        };
        let mut parsed = parse(page, format, &self.limits);
        let told = lines(&parsed.faults);
        if parsed.families.is_empty() && !parsed.totals.is_empty() {
            return (StatusCode::BAD_REQUEST, told);
        }
        let mut collected = Collected::new();
        let seconds = came.1 as f64 / 1000.0;
        collected.gauge(PUSH_TIME.name, PUSH_TIME.help, &[], seconds);
        parsed.families.splice(0..0, collected.into_answer().families.iter().cloned());
        let families = Arc::new(parsed.families);
        let page = Page { families, came: came.0, expiry: self.expiry };
        if self.keep(path, page) {
            (StatusCode::OK, told)
        } else {
            let told = format!("there are pages of {} endpoints already\n", self.most);
            (StatusCode::INSUFFICIENT_STORAGE, told)
        }
    }

    /// Shows no page of this endpoint; whether there was one.
    pub(super) fn delete(&self, path: &[&str; 3]) -> bool {
        let group = self.lock().remove(&path.map(str::to_owned));
        group.is_some_and(|group| {
            group.source.remove();
            lock(&group.page).is_some()
        })
    }

    /// Keeps a page; whether there was room for it.
    fn keep(&self, path: &[&str; 3], page: Page) -> bool {
        let mut groups = self.lock();
        let key = path.map(str::to_owned);
        if let Some(group) = groups.get(&key) {
            *lock(&group.page) = Some(page);
            return true;
        }
        groups.retain(|_, group| {
            let lives = lock(&group.page).as_ref().is_some_and(|kept| kept.lives(page.came));
            if !lives {
                group.source.remove();
            }
            lives
        });
        if groups.len() >= self.most {
            return false;
        }
        let page = Arc::new(Mutex::new(Some(page)));
        let kept = Arc::clone(&page);
        let ask = Ask::Kept(Box::new(move || answer(&kept)));
        let kind = SourceKind::Push;
        let source = self.registry.add_source_for(path, kind, SameLabel::Renamed, ask);
        groups.insert(key, Group { page, source });
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[String; 3], Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn lives(&self, now: Instant) -> bool {
        now.since(self.came) < self.expiry
    }
}

/// The page, unless it expired.
fn answer(page: &Mutex<Option<Page>>) -> Answer {
    let mut page = lock(page);
    page.take_if(|page| !page.lives(clock::now()));
    let families = page.as_ref().map(|page| Arc::clone(&page.families)).unwrap_or_default();
    Answer { families, troubles: Vec::new() }
}

fn lock(page: &Mutex<Option<Page>>) -> MutexGuard<'_, Option<Page>> {
    page.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;
    use crate::encode;

    fn put(pushes: &Pushes, endpoint: &str, page: &str) -> u16 {
        let came = (clock::now(), clock::unix_milliseconds());
        pushes.put(&["n", "c", endpoint], &HeaderMap::new(), page.as_bytes(), came).0.as_u16()
    }

    #[test]
    fn a_page_is_shown_until_it_expires_or_another_one_comes() {
        let registry = Registry::new();
        let pushes = Pushes::new(&registry).expiry(Duration::from_secs(60)).most(1);
        let time = Manual::new();
        time.run(|| {
            assert_eq!(put(&pushes, "job", "# TYPE done_total counter\ndone_total 7\nx\n"), 200);
            let line = "done_total{dynamo_component=\"c\",dynamo_endpoint=\"job\",dynamo_namespace=\"n\"} ";
            assert!(encode::text(&registry).contains(&format!("{line}7\n")));
            assert!(encode::text(&registry).contains("\ndynamo_metrics_push_time_seconds{"));
            assert_eq!(put(&pushes, "other", "a 1\n"), 507);
            assert_eq!(put(&pushes, "job", "# TYPE done_total counter\ndone_total 8\n"), 200);
            time.advance(Duration::from_secs(59));
            assert!(encode::text(&registry).contains(&format!("{line}8\n")));
            time.advance(Duration::from_secs(1));
            assert!(!encode::text(&registry).contains("done_total"));
            assert_eq!(put(&pushes, "other", "a 1\n"), 200);
            assert!(pushes.delete(&["n", "c", "other"]) && !pushes.delete(&["n", "c", "other"]));
            assert_eq!(encode::text(&registry), "");
        });
    }

    #[test]
    fn a_page_of_which_nothing_can_be_used_is_refused() {
        let pushes = Pushes::new(&Registry::new());
        assert_eq!(put(&pushes, "job", "nonsense\n"), 400);
        assert_eq!(put(&pushes, "job", ""), 200);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        let (status, _) = pushes.put(&["n", "c", "e"], &headers, b"{}", (clock::now(), 0));
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
