//! Collectors: code that tells values which somebody else keeps, whenever somebody gathers.

use std::sync::Arc;

use super::book::Book;
use super::check;
use super::fault::{Flaw, Reason};
use super::limits::DEFAULT;
use super::{Fault, Format, Parsed, Value, parse};
use crate::causes::whole;
use crate::label::LabelValue as _;
use crate::metric::MetricKind;
#[cfg(feature = "exporter")]
use crate::registry::Later;
use crate::registry::{
    Answer, Ask, CollectorHandle, Failure, SameLabel, Scope, SourceKind, Trouble,
};

/// What a collector tells.
///
/// It is checked as pages are: what is wrong is left out, and counted in
/// `dynamo_metrics_collect_errors_total{source,reason}`. Names stay as they are told; the labels of
/// the scope are added.
///
/// # Examples
/// ```
/// use dynamo_metrics::foreign::Collected;
///
/// let mut collected = Collected::new();
/// collected.gauge("pool_size", "Connections.", &[("pool", "a")], 3.0);
/// collected.counter("pool_waits_total", "Waits for a connection.", &[], 12.0);
/// ```
#[derive(Debug)]
pub struct Collected {
    book: Book<'static>,
    pages: Vec<Parsed>,
}

impl Collected {
    /// Nothing so far.
    #[must_use]
    pub fn new() -> Self {
        Self { book: Book::new(&DEFAULT), pages: Vec::new() }
    }

    /// A counter's total; the name should end in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], total: f64) {
        self.value((MetricKind::Counter, name, help), labels, Ok(Value::Number(total)));
    }

    /// A gauge's level.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], level: f64) {
        self.value((MetricKind::Gauge, name, help), labels, Ok(Value::Number(level)));
    }

    /// Facts, told by labels; the name should end in `_info`.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.value((MetricKind::Info, name, help), labels, Ok(Value::Number(1.0)));
    }

    /// A histogram: upper bounds with how many samples are not above each, up to `+Inf`, and the sum
    /// of all samples.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::foreign::Collected;
    ///
    /// let buckets = [(0.5, 2.0), (f64::INFINITY, 3.0)];
    /// Collected::new().histogram("step_seconds", "Time of a step.", &[], &buckets, 1.4);
    /// ```
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        buckets: &[(f64, f64)],
        sum: f64,
    ) {
        let value = check::histogram(buckets.to_vec(), Some(sum), None, None);
        self.value((MetricKind::Histogram, name, help), labels, value.map(Value::Histogram));
    }

    /// Which of `states` is on, told by its place among them; the label that tells them apart is named
    /// as the metric.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::foreign::Collected;
    ///
    /// Collected::new().state_set("phase", "What it does.", &[], &["idle", "busy"], 1);
    /// ```
    pub fn state_set(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        states: &[&str],
        on: usize,
    ) {
        for (i, state) in states.iter().enumerate() {
            let labels = [labels, &[(name, *state)]].concat();
            let value = Value::Number(f64::from(u8::from(i == on)));
            self.value((MetricKind::StateSet, name, help), &labels, Ok(value));
        }
    }

    /// A page of metrics.
    pub fn page(&mut self, page: impl AsRef<[u8]>, format: Format) {
        self.pages.push(parse(page.as_ref(), format, &DEFAULT));
    }

    fn value(
        &mut self,
        (kind, name, help): (MetricKind, &str, &str),
        labels: &[(&str, &str)],
        value: Result<Value, Flaw>,
    ) {
        if let Err(flaw) = self.try_value((kind, name, help), labels, value) {
            self.book.faults.tell(None, flaw, name);
        }
    }

    fn try_value(
        &mut self,
        (kind, name, help): (MetricKind, &str, &str),
        labels: &[(&str, &str)],
        value: Result<Value, Flaw>,
    ) -> Result<(), Flaw> {
        check::metric_name(name, &DEFAULT)?;
        let value = value?;
        if labels.len() > DEFAULT.labels {
            return Err(Flaw::new(Reason::Limit, "too many labels"));
        }
        for (label, value) in labels {
            check::label(label, value, &DEFAULT)?;
            if *label == "le" && kind == MetricKind::Histogram {
                return Err(Flaw::new(Reason::Label, "the label of a bound where none is"));
            }
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels: check::Labels = labels.iter().map(own).collect();
        if let Value::Number(number) = value {
            check::number(kind, name, &labels, number)?;
        }
        let (family, draft) = self.book.family(name)?;
        if *draft.kind.get_or_insert(kind) != kind {
            return Err(Flaw::new(Reason::Kind, "the kind was another before"));
        }
        draft.help.get_or_insert_with(|| help.chars().take(DEFAULT.text).collect());
        let point = self.book.point((None, family), labels)?;
        if point.parts.whole.is_some() {
            return Err(Flaw::new(Reason::Duplicate, "the series is there twice"));
        }
        point.parts.whole = Some(value);
        Ok(())
    }

    pub(crate) fn into_answer(self) -> Answer {
        let mut answer = Answer::default();
        for parsed in [self.book.finish()].into_iter().chain(self.pages) {
            answer.take(parsed);
        }
        answer
    }
}

impl Default for Collected {
    fn default() -> Self {
        Self::new()
    }
}

impl Answer {
    /// Adds what a page says, and what is wrong with it.
    pub(crate) fn take(&mut self, parsed: Parsed) {
        Arc::make_mut(&mut self.families).extend(parsed.families);
        let first = |reason: Reason| {
            let fault = parsed.faults.iter().find(|fault| fault.reason == reason);
            fault.map(Fault::to_string).unwrap_or_default()
        };
        self.troubles.extend(parsed.totals.iter().map(|&(reason, count)| Trouble {
            reason: label(reason),
            count,
            text: first(reason),
        }));
    }
}

/// The reason as a label has it.
fn label(reason: Reason) -> &'static str {
    Reason::LABELS.get(reason.index()).copied().unwrap_or_default()
}

impl Scope {
    /// Asks `collect` for values that somebody else keeps, before each gather.
    ///
    /// [`Registry::gather`](crate::registry::Registry::gather) runs it where it is called; the
    /// exporter in a thread that may block, and does without it for as long as it takes longer than the
    /// scrape may. It does not run twice at once. What it told before it failed stands. It stays for
    /// as long as the scope does.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// registry.component("pool").add_collector(|collected| {
    ///     collected.gauge("pool_size", "Connections.", &[], 3.0);
    ///     Ok::<(), std::io::Error>(())
    /// });
    /// let page = encode::text(&registry);
    /// assert!(page.ends_with("pool_size{dynamo_component=\"pool\"} 3\n"));
    /// ```
    pub fn add_collector<E: Into<Failure>>(
        &self,
        collect: impl Fn(&mut Collected) -> Result<(), E> + Send + Sync + 'static,
    ) -> CollectorHandle {
        let ask = move || {
            let mut collected = Collected::new();
            let result = collect(&mut collected);
            finish(collected, result.err())
        };
        self.add_source(SourceKind::Collector, SameLabel::Theirs, Ask::Now(Box::new(ask)))
            .unwrap_or_default()
    }

    /// The same, for what has to be waited for: the exporter runs the future in tokio, and does
    /// without it for once if it takes longer than the scrape may.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{foreign::Collected, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// registry.component("pool").add_async_collector(|| async {
    ///     let mut collected = Collected::new();
    ///     // .. ask somebody ..
    ///     collected.gauge("pool_size", "Connections.", &[], 3.0);
    ///     Ok::<_, std::io::Error>(collected)
    /// });
    /// ```
    #[cfg(feature = "exporter")]
    pub fn add_async_collector<F, E>(
        &self,
        collect: impl Fn() -> F + Send + Sync + 'static,
    ) -> CollectorHandle
    where
        F: Future<Output = Result<Collected, E>> + Send + 'static,
        E: Into<Failure>,
    {
        let ask = move |_| -> Later {
            let collecting = collect();
            Box::pin(async move {
                match collecting.await {
                    Ok(collected) => collected.into_answer(),
                    Err(error) => finish(Collected::new(), Some(error)),
                }
            })
        };
        self.add_source(SourceKind::AsyncCollector, SameLabel::Theirs, Ask::Later(Box::new(ask)))
            .unwrap_or_default()
    }

    /// Asks `callback` for a page of metrics before each gather, as Dynamo's registries do: in the
    /// Prometheus text format, or in OpenMetrics if it ends in `# EOF`.
    ///
    /// It runs when and where a [collector](Self::add_collector) does. A label that a series has
    /// already is not replaced by the scope's.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// registry.component("engine").add_expfmt_callback(|| {
    ///     Ok::<_, std::io::Error>("# TYPE steps_total counter\nsteps_total 7\nnonsense\n".into())
    /// });
    /// let page = encode::text(&registry);
    /// assert!(page.contains("\nsteps_total{dynamo_component=\"engine\"} 7\n"));
    /// assert!(page.contains("{reason=\"syntax\",source=\"expfmt_callback\"} 1\n"));
    /// ```
    pub fn add_expfmt_callback<E: Into<Failure>>(
        &self,
        callback: impl Fn() -> Result<String, E> + Send + Sync + 'static,
    ) -> CollectorHandle {
        let ask = move || {
            let mut collected = Collected::new();
            let error = match callback() {
                Ok(page) => {
                    let is_openmetrics = page.trim_end().ends_with("\n# EOF");
                    let format = if is_openmetrics { Format::OpenMetrics } else { Format::Text };
                    collected.page(page, format);
                    None
                }
                Err(error) => Some(error),
            };
            finish(collected, error)
        };
        self.add_source(SourceKind::ExpfmtCallback, SameLabel::Theirs, Ask::Now(Box::new(ask)))
            .unwrap_or_default()
    }
}

pub(super) fn finish<E: Into<Failure>>(collected: Collected, error: Option<E>) -> Answer {
    let mut answer = collected.into_answer();
    if let Some(error) = error {
        answer.troubles.extend(Answer::trouble("failed", whole(&*error.into())).troubles);
    }
    answer
}

#[cfg(test)]
mod tests {
    use crate::encode;
    use crate::registry::Registry;

    #[test]
    fn what_is_wrong_is_left_out_and_counted() {
        let registry = Registry::new();
        registry.add_collector(|collected| {
            collected.gauge("good", "A \"gauge\".", &[("b", "2"), ("a", "1")], 7.5);
            collected.gauge("good", "", &[("a", "1"), ("b", "2")], 8.0);
            collected.counter("good", "", &[], 1.0);
            collected.counter("less_total", "", &[], -1.0);
            collected.gauge("bad name", "", &[], 1.0);
            collected.gauge("labels", "", &[("a", "1"), ("a", "2")], 1.0);
            collected.histogram("steps", "", &[], &[(1.0, 1.0)], 1.0);
            collected.info("build_info", "", &[("version", "1")]);
            Err("and then it failed")
        });
        let page = encode::text(&registry);
        for (reason, count) in
            [("duplicate", 1), ("kind", 1), ("value", 1), ("name", 1), ("label", 1), ("failed", 1)]
        {
            let line = format!(
                "dynamo_metrics_collect_errors_total{{reason=\"{reason}\",source=\"collector\"}} {count}\n"
            );
            assert!(page.contains(&line), "{line} in {page}");
        }
        assert!(
            page.contains(
                "# HELP good A \"gauge\".\n# TYPE good gauge\ngood{a=\"1\",b=\"2\"} 7.5\n"
            )
        );
        assert!(page.contains("# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n"));
        assert!(!page.contains("less") && !page.contains("labels"));
        let openmetrics = encode::openmetrics(&registry);
        assert!(openmetrics.contains("# TYPE build info\nbuild_info{version=\"1\"} 1\n"));
    }

    #[test]
    fn what_failed_is_told_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the engine does not answer")]
        struct Silent(#[from] std::io::Error);

        let error = Silent(std::io::Error::other("no route"));
        let answer = super::finish(super::Collected::new(), Some(error));
        assert_eq!(answer.troubles[0].text, "the engine does not answer: no route");
    }

    #[test]
    fn a_collector_that_panics_or_gathers_costs_itself_alone() {
        let registry = Registry::new();
        registry.gauge("ours", "").register().unwrap().set(1);
        let own = registry.clone();
        registry.add_collector(move |collected| {
            collected.gauge("lines", "", &[], encode::text(&own).lines().count() as f64);
            Ok::<(), std::io::Error>(())
        });
        registry.add_collector(|_| -> Result<(), std::io::Error> { panic!("its own fault") });
        for n in 1..3 {
            let page = encode::text(&registry);
            assert!(page.contains("\nours 1\n") && page.contains("\nlines "), "{page}");
            let line = "{reason=\"panic\",source=\"collector\"} ";
            let count = page.split(line).nth(1).unwrap().lines().next().unwrap();
            // The collector that gathers has the other one asked as well.
            assert_eq!(count, (2 * n).to_string(), "{page}");
        }
    }
}
