//! Pages of text, right and wrong.

use proptest::prelude::*;

use super::{Family, Format, Limits, Parsed, Reason, Series, Value, parse};
use crate::metric::MetricKind;

fn read(page: impl AsRef<[u8]>, format: Format) -> Parsed {
    parse(page.as_ref(), format, &Limits::default())
}

fn text(page: &str) -> Parsed {
    read(page, Format::Text)
}

/// With the end that the format asks for.
fn openmetrics(page: &str) -> Parsed {
    read(format!("{page}# EOF\n"), Format::OpenMetrics)
}

fn reasons(parsed: &Parsed) -> Vec<(Option<usize>, Reason)> {
    parsed.faults.iter().map(|fault| (fault.line, fault.reason)).collect()
}

/// Families as `name kind labels=value ..`, one a series.
fn told(parsed: &Parsed) -> Vec<String> {
    let series = |family: &Family, series: &Series| {
        let labels: Vec<_> = series.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let value = match &series.value {
            Value::Number(number) => format!("{number}"),
            Value::Histogram(it) => format!("{:?} {:?} {}", it.buckets, it.sum, it.count),
            Value::Summary(it) => format!("{:?} {:?} {:?}", it.quantiles, it.sum, it.count),
        };
        format!("{} {:?} {{{}}} {value}", family.name, family.kind, labels.join(","))
    };
    let all = parsed.families.iter();
    all.flat_map(|family| family.series.iter().map(move |one| series(family, one))).collect()
}

#[test]
fn every_kind_of_openmetrics_is_read() {
    let parsed = openmetrics(
        "# TYPE c counter\n# HELP c Some\\nthings.\nc_total{b=\"1\",a=\"\\\"\"} 3\n\
         c_created{b=\"1\",a=\"\\\"\"} 1.5\n\
         # TYPE g_seconds gauge\n# UNIT g_seconds seconds\ng_seconds -1\n\
         # TYPE h histogram\nh_bucket{le=\"1.0\"} 1 # {t=\"x\"} 0.5\nh_bucket{le=\"+Inf\"} 2\n\
         h_count 2\nh_sum 4.0\nh_created 7\n\
         # TYPE gh gaugehistogram\ngh_bucket{le=\"+Inf\"} 2\ngh_gcount 2\ngh_gsum -4\n\
         # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_count 0\ns_sum 0\n\
         # TYPE i info\ni_info{v=\"1\"} 1\n\
         # TYPE e stateset\ne{e=\"on\"} 1\ne{e=\"off\"} 0\n\
         # TYPE u unknown\nu NaN\nalone 5\n",
    );
    assert_eq!(parsed.faults, []);
    assert_eq!(
        told(&parsed),
        [
            "c_total Counter {a=\",b=1} 3",
            "g_seconds Gauge {} -1",
            "h Histogram {} [(1.0, 1.0), (inf, 2.0)] Some(4.0) 2",
            "gh GaugeHistogram {} [(inf, 2.0)] Some(-4.0) 2",
            "s Summary {} [(0.5, NaN)] Some(0.0) Some(0.0)",
            "i_info Info {v=1} 1",
            "e StateSet {e=on} 1",
            "e StateSet {e=off} 0",
            "u Unknown {} NaN",
            "alone Unknown {} 5",
        ]
    );
    let [counter, gauge, histogram, ..] = &parsed.families[..] else { panic!() };
    assert_eq!((&*counter.help, counter.series[0].created), ("Some\nthings.", Some(1.5)));
    assert_eq!(gauge.unit.as_deref(), Some("seconds"));
    assert_eq!(histogram.series[0].created, Some(7.0));
    assert_eq!(histogram.series[0].exemplars[0].labels, [("t".to_owned(), "x".to_owned())]);
}

#[test]
fn text_is_read_with_free_blanks_and_comments() {
    let parsed = text(
        "\n# hello\n#  HELP  c_total  Some \"things\".\n# TYPE c_total counter\n\n\
         c_total {a=\"1\",} 3 1700000000000\n# TYPE plain counter\nplain 1\n\
         # TYPE h histogram\nh_bucket{a=\"\",le=\"+Inf\"} 2\nh_bucket{le=\"1\"} 1\nh_sum 4\nh_count 2\n\
         # TYPE s summary\ns{quantile=\"0.9\"} 2\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 4\n\
         # TYPE x untyped\nx 1\n# EOF\nalone 5\n",
    );
    assert_eq!(parsed.faults, []);
    assert_eq!(
        told(&parsed),
        [
            "c_total Counter {a=1} 3",
            "plain Counter {} 1",
            "h Histogram {} [(1.0, 1.0), (inf, 2.0)] Some(4.0) 2",
            "s Summary {} [(0.5, 1.0), (0.9, 2.0)] Some(3.0) Some(4.0)",
            "x Unknown {} 1",
            "alone Unknown {} 5",
        ]
    );
}

#[test]
fn creation_times_of_python_come_to_their_series() {
    let page = "# TYPE c_total counter\nc_total{a=\"1\"} 3\nc_total{a=\"2\"} 3\n\
                # TYPE c_created gauge\nc_created{a=\"1\"} 10\nc_created{a=\"2\"} 20\n\
                # TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n# TYPE h_created gauge\nh_created 30\n";
    let parsed = text(page);
    assert_eq!((parsed.faults.len(), parsed.families.len()), (0, 2));
    let created: Vec<_> =
        parsed.families.iter().flat_map(|f| &f.series).map(|series| series.created).collect();
    assert_eq!(created, [Some(10.0), Some(20.0), Some(30.0)]);
    // One that is about no series here says that it is something else.
    let parsed = text(&page.replace("c_created{a=\"2\"}", "c_created{a=\"3\"}"));
    assert_eq!((parsed.faults.len(), parsed.families.len()), (0, 3));
    assert_eq!(parsed.families[0].series[0].created, None);
}

#[test]
fn what_is_bad_is_told_and_the_rest_stands() {
    for (page, reason, line, rest) in [
        ("a 1\na{b=\"\"} 2\n", Reason::Duplicate, 2, "a Unknown {} 1"),
        ("a{b=\"1\",b=\"2\"} 2\na 1\n", Reason::Label, 1, "a Unknown {} 1"),
        ("a{b=\"1\",b=\"\"} 2\na 1\n", Reason::Label, 1, "a Unknown {} 1"),
        ("a{__name__=\"b\"} 2\na 1\n", Reason::Label, 1, "a Unknown {} 1"),
        ("{\"a.b\"} 2\na 1\n", Reason::Name, 1, "a Unknown {} 1"),
        ("a x\na 1\n", Reason::Value, 1, "a Unknown {} 1"),
        ("a 1\n# TYPE a counter\n", Reason::Kind, 2, "a Unknown {} 1"),
        ("# TYPE a counter\n# TYPE a gauge\na 1\n", Reason::Kind, 2, "a Counter {} 1"),
        ("# TYPE a thing\na 1\n", Reason::Kind, 1, "a Unknown {} 1"),
        ("# TYPE a info\na 1\n", Reason::Kind, 1, "a Unknown {} 1"),
        ("# TYPE h histogram\nh 1\na 1\n", Reason::Kind, 2, "a Unknown {} 1"),
        ("# HELP a b\n# HELP a c\na 1\n", Reason::Duplicate, 2, "a Unknown {} 1"),
        ("# TYPE a counter\na{b=\"c\"} -1\na 1\n", Reason::Value, 2, "a Counter {} 1"),
        ("# TYPE a counter\na{b=\"c\"} NaN\na 1\n", Reason::Value, 2, "a Counter {} 1"),
        ("a 1 # {} 1\na 1\n", Reason::Syntax, 1, "a Unknown {} 1"),
        ("a 1\na 1", Reason::Truncated, 2, "a Unknown {} 1"),
        ("\u{feff}a 1\n", Reason::Encoding, 0, "a Unknown {} 1"),
        ("a 1\r\n\r\n# HELP a b\r\n", Reason::Encoding, 1, "a Unknown {} 1"),
    ] {
        let parsed = text(page);
        let line = (line > 0).then_some(line);
        assert_eq!(reasons(&parsed), [(line, reason)], "{page}");
        assert_eq!(told(&parsed), [rest], "{page}");
        assert_eq!(parsed.totals, [(reason, 1)]);
    }
}

#[test]
fn openmetrics_has_faults_of_its_own() {
    for (page, reason, line, rest) in [
        ("\na 1\n", Reason::Syntax, 1, "a Unknown {} 1"),
        ("# hello\na 1\n", Reason::Syntax, 1, "a Unknown {} 1"),
        ("a  2\na 1\n", Reason::Syntax, 1, "a Unknown {} 1"),
        ("# TYPE a untyped\na 1\n", Reason::Kind, 1, "a Unknown {} 1"),
        ("# TYPE a gauge\n# TYPE a gauge\na 1\n", Reason::Duplicate, 2, "a Gauge {} 1"),
        ("# TYPE c counter\nc 1\na 1\n", Reason::Kind, 2, "a Unknown {} 1"),
        ("# TYPE a_total counter\na_total 1\n", Reason::Name, 1, "a_total Counter {} 1"),
        ("# UNIT a seconds\na 1\n", Reason::Name, 1, "a Unknown {} 1"),
        ("# TYPE a_b info\n# UNIT a_b b\na_b_info 1\n", Reason::Name, 2, "a_b_info Info {} 1"),
        ("# TYPE i info\ni_info 2\na 1\n", Reason::Value, 2, "a Unknown {} 1"),
        ("# TYPE e stateset\ne{e=\"x\"} 2\na 1\n", Reason::Value, 2, "a Unknown {} 1"),
        ("# TYPE e stateset\ne{f=\"x\"} 1\na 1\n", Reason::Label, 2, "a Unknown {} 1"),
        ("# TYPE a gauge\na 1 # {} 1\n", Reason::Exemplar, 2, "a Gauge {} 1"),
        ("# TYPE a counter\na_total 1 # {} 1 2 3\n", Reason::Exemplar, 2, "a_total Counter {} 1"),
        ("# TYPE c counter\nc_created 1\na 1\n", Reason::Value, 2, "a Unknown {} 1"),
        ("a 1\n# EOF\nb 1\n", Reason::Syntax, 2, "a Unknown {} 1"),
    ] {
        let parsed = openmetrics(page);
        assert_eq!(reasons(&parsed), [(Some(line), reason)], "{page}");
        assert_eq!(told(&parsed), [rest], "{page}");
    }
    for page in ["a 1\n", "a 1\nb 1"] {
        let parsed = read(page, Format::OpenMetrics);
        assert!(parsed.totals.iter().all(|(reason, _)| *reason == Reason::Truncated), "{page}");
        assert_eq!(told(&parsed), ["a Unknown {} 1"]);
    }
    assert_eq!(read("a 1\n# EOF", Format::OpenMetrics).faults, []);
}

#[test]
fn families_in_pieces_are_put_together() {
    let page = "# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 1\na{x=\"2\"} 2\n";
    let whole = ["a Gauge {x=1} 1", "a Gauge {x=2} 2", "b Gauge {} 1"];
    let (plain, strict) = (text(page), openmetrics(page));
    assert_eq!((told(&plain), reasons(&plain)), (whole.map(String::from).to_vec(), vec![]));
    assert_eq!(told(&strict), whole);
    assert_eq!(reasons(&strict), [(Some(5), Reason::Interleaved)]);
}

#[test]
fn colons_that_python_escaped_are_found() {
    let page = "# TYPE v:h histogram\nv_h_bucket{le=\"+Inf\"} 1\nv_h_sum 1\n\
                # TYPE v:c counter\nv_c_total 1\nv_c_created 2\n# TYPE v_c gauge\nv_c 3\n";
    let parsed = openmetrics(page);
    assert_eq!(parsed.faults, []);
    let told = told(&parsed);
    assert_eq!(told[1..], ["v:c_total Counter {} 1", "v_c Gauge {} 3"]);
    assert!(told[0].starts_with("v:h Histogram"));
}

#[test]
fn half_a_histogram_is_none() {
    for (lines, reason) in [
        ("h_bucket{le=\"1\"} 1\nh_count 1\n", Reason::Histogram),
        ("h_sum 1\n", Reason::Histogram),
        ("h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\n", Reason::Histogram),
        ("h_bucket{le=\"+Inf\"} 2\nh_count 3\n", Reason::Histogram),
        ("h_bucket{le=\"+Inf\"} NaN\n", Reason::Histogram),
        ("h_bucket{le=\"x\"} 1\nh_bucket{le=\"+Inf\"} 2\n", Reason::Histogram),
        ("h_bucket{le=\"NaN\"} 1\nh_bucket{le=\"+Inf\"} 2\n", Reason::Histogram),
    ] {
        let page = format!("# TYPE h histogram\n{lines}a 1\n");
        let parsed = text(&page);
        assert_eq!(told(&parsed), ["a Unknown {} 1"], "{page}");
        assert_eq!(parsed.totals, [(reason, 1)], "{page}");
    }
    for lines in ["s{quantile=\"2\"} 1\n", "s{quantile=\"x\"} 1\ns_sum 1\n", "s_count -1\n"] {
        let parsed = text(&format!("# TYPE s summary\n{lines}a 1\n"));
        assert_eq!(told(&parsed), ["a Unknown {} 1"], "{lines}");
        assert_eq!(parsed.totals, [(Reason::Summary, 1)], "{lines}");
    }
}

#[test]
fn bounds_are_told_apart_as_numbers() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 1\n\
                h_bucket{le=\"1e1\"} 2\nh_bucket{le=\"+Inf\"} 2\nh_sum{le=\"1\"} 3\nh_bucket 1\n";
    let parsed = text(page);
    let whole = "h Histogram {} [(1.0, 1.0), (10.0, 2.0), (inf, 2.0)] None 2";
    assert_eq!(told(&parsed), [whole]);
    assert_eq!(parsed.totals, [(Reason::Label, 2), (Reason::Duplicate, 1)]);
}

#[test]
fn no_two_families_have_lines_of_one_name() {
    let page = "# TYPE h_count gauge\nh_count 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n";
    let parsed = text(page);
    assert_eq!(told(&parsed), ["h_count Gauge {} 1"]);
    assert_eq!(parsed.totals, [(Reason::Duplicate, 1)]);
    let late = text("h_count 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\n");
    assert_eq!(told(&late), ["h_count Unknown {} 1", "h_bucket Unknown {le=+Inf} 2"]);
    assert_eq!(reasons(&late), [(Some(2), Reason::Kind)]);
    // Go's own collector has such a pair, and it is one of two names.
    let go =
        text("# TYPE a_bytes gauge\na_bytes 1\n# TYPE a_bytes_total counter\na_bytes_total 2\n");
    assert_eq!((told(&go).len(), go.faults.len()), (2, 0));
}

#[test]
fn a_line_that_is_not_utf8_costs_that_line() {
    let parsed = read(b"a 1\nb{c=\"\xff\"} 1\nd 1\n", Format::Text);
    assert_eq!(told(&parsed), ["a Unknown {} 1", "d Unknown {} 1"]);
    assert_eq!(reasons(&parsed), [(Some(2), Reason::Encoding)]);
}

#[test]
fn what_is_past_a_limit_is_told() {
    let page = "a{b=\"1\"} 1\na{b=\"2\"} 2\na{b=\"1\"} 3\nc 1\n";
    let limited = |limits: Limits| {
        let parsed = parse(page.as_bytes(), Format::Text, &limits);
        (told(&parsed).len(), parsed.totals)
    };
    let default = Limits::default;
    let twice = (Reason::Duplicate, 1);
    assert_eq!(limited(default()), (3, vec![twice]));
    assert_eq!(limited(default().series(2)), (2, vec![twice, (Reason::Limit, 1)]));
    assert_eq!(limited(default().families(1)), (2, vec![twice, (Reason::Limit, 1)]));
    assert_eq!(limited(default().labels(0)), (1, vec![(Reason::Limit, 3)]));
    assert_eq!(limited(default().line(5)), (1, vec![(Reason::Limit, 3)]));
    assert_eq!(limited(default().bytes(15)), (1, vec![(Reason::Limit, 1)]));
    let (bounds, all) = ("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n", "h_bucket{le=\"+Inf\"} 1\n");
    let page = format!("{bounds}{all}h_count 1\n");
    let parsed = parse(page.as_bytes(), Format::Text, &default().buckets(1));
    assert_eq!((parsed.families.len(), parsed.totals), (0, vec![(Reason::Limit, 1)]));
}

const PAGE: &str = "# HELP one_total One.\n# TYPE one_total counter\none_total{a=\"1\"} 1\n\
                    one_total{a=\"2\"} 2\n\
                    # HELP two_seconds Two.\n# TYPE two_seconds histogram\n\
                    two_seconds_bucket{b=\"x\",le=\"0.5\"} 1\n\
                    two_seconds_bucket{b=\"x\",le=\"+Inf\"} 2\ntwo_seconds_count{b=\"x\"} 2\n\
                    two_seconds_sum{b=\"x\"} 2.5\n\
                    # HELP three Three.\n# TYPE three gauge\nthree -3\n";

fn page(format: Format) -> Vec<String> {
    let mut page = PAGE.to_owned();
    if format == Format::OpenMetrics {
        page = page.replace(" one_total ", " one ");
    }
    let mut pieces: Vec<String> =
        page.split("# HELP").skip(1).map(|piece| format!("# HELP{piece}")).collect();
    if format == Format::OpenMetrics {
        pieces.push("# EOF\n".to_owned());
    }
    pieces
}

fn dialect() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]
}

/// Bytes that mean something, mostly.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "# TYPE ",
            "# HELP ",
            "# UNIT ",
            "# EOF\n",
            "\n",
            " ",
            "a",
            "a_total",
            "a_bucket",
            "a_sum",
            "{",
            "}",
            "le=\"",
            "quantile=\"",
            "\"",
            ",",
            "=",
            "1",
            "+Inf",
            "NaN",
            "-1",
            "0.5",
            "\\",
            "\\n",
            "histogram\n",
            "summary\n",
            "counter\n",
            "info\n",
            "stateset\n",
            " # {",
            "\r\n",
            "a_created",
            "a_count",
            "a_info",
        ])
        .prop_map(|piece: &str| piece.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn no_bytes_make_it_panic(bytes in bytes(), format in dialect()) {
        let limits = Limits::default().series(5).families(4).faults(3).buckets(3).labels(3);
        let parsed = parse(&bytes, format, &limits);
        prop_assert!(parsed.families.len() <= 4 && parsed.faults.len() <= 3);
        let series = parsed.families.iter().map(|family| family.series.len()).sum::<usize>();
        prop_assert!(series <= 5);
        prop_assert!(parsed.families.iter().all(|family| !family.series.is_empty()));
    }

    #[test]
    fn what_is_done_to_one_family_harms_no_other(
        format in dialect(),
        spoiled in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6),
    ) {
        let mut pieces: Vec<_> = page(format).into_iter().map(String::into_bytes).collect();
        let whole = read(pieces.concat(), format);
        prop_assert_eq!((&whole.faults, whole.families.len()), (&vec![], 3));
        let piece = &mut pieces[spoiled];
        for (at, byte, how) in changes {
            // The last line's end belongs to both.
            let at = at.index(piece.len() - 1);
            match how {
                0 => piece[at] = byte,
                1 => piece.insert(at, byte),
                _ => drop(piece.remove(at)),
            }
        }
        let parsed = read(pieces.concat(), format);
        for (i, family) in whole.families.iter().enumerate() {
            prop_assert!(i == spoiled || parsed.families.contains(family), "{parsed:?}");
        }
    }

    #[test]
    fn a_page_that_is_cut_off_says_nothing_that_it_did_not(
        format in dialect(),
        at in any::<prop::sample::Index>(),
    ) {
        let page = page(format).concat();
        let whole = read(&page, format);
        let at = at.index(page.len());
        let parsed = read(&page[..at], format);
        for family in &parsed.families {
            let same = whole.families.iter().find(|other| other.name == family.name).unwrap();
            for series in &family.series {
                let is = |other: &Series| {
                    let value = match (&other.value, &series.value) {
                        (Value::Histogram(one), Value::Histogram(other)) => {
                            one.buckets == other.buckets
                        }
                        (one, other) => one == other,
                    };
                    value && other.labels == series.labels
                };
                prop_assert!(same.series.iter().any(is), "{series:?}");
            }
            prop_assert_eq!(same.kind, family.kind);
        }
        let ended = page[..at].is_empty() && format == Format::Text || page[..at].ends_with('\n');
        prop_assert!(format == Format::Text && ended || !parsed.faults.is_empty() || at + 1 == page.len());
    }
}

#[test]
fn kinds_are_told_for_histograms_without_a_count() {
    // Python writes a gauge histogram so.
    let parsed = text(
        "# TYPE g histogram\ng_bucket{le=\"1.0\"} 1\ng_bucket{le=\"+Inf\"} 2\n\
         # TYPE g_gcount gauge\ng_gcount 2\n# TYPE g_gsum gauge\ng_gsum 4\n",
    );
    assert_eq!((parsed.faults.len(), parsed.families[0].kind), (0, MetricKind::Histogram));
    assert_eq!(parsed.families.len(), 3);
}

#[test]
fn states_of_one_thing_stand_together() {
    let page = "# TYPE e stateset\ne{e=\"on\",x=\"2\"} 1\ne{e=\"on\",x=\"1\"} 0\n\
                e{e=\"off\",x=\"2\"} 0\ne{e=\"off\",x=\"1\"} 1\n# EOF\n";
    let parsed = parse(page.as_bytes(), Format::OpenMetrics, &Limits::default());
    let states = parsed.families[0].series.iter();
    let states: Vec<_> = states
        .map(|series| series.labels.iter().map(|(_, value)| &**value))
        .map(Vec::from_iter)
        .collect();
    assert_eq!(states, [["on", "2"], ["off", "2"], ["on", "1"], ["off", "1"]]);
}

#[test]
fn a_family_with_lines_of_a_gauge_histogram_is_left_out() {
    // The older format calls its count so, though OpenMetrics has another name for it.
    let page = "# TYPE x gaugehistogram\nx_bucket{le=\"+Inf\"} 1\n# TYPE x_count gauge\nx_count 1\n\
                # TYPE x_created gauge\nx_created 1\n# EOF\n";
    let parsed = parse(page.as_bytes(), Format::OpenMetrics, &Limits::default());
    let names: Vec<_> = parsed.families.iter().map(|family| &*family.name).collect();
    assert_eq!(names, ["x", "x_created"]);
}
