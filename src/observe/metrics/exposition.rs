//! The two text formats in which metrics are shown, and which of them a client asks for.
//!
//! Prometheus asks for `OpenMetrics`; people with curl, and many other collectors, know the
//! older text format 0.0.4 alone. `prometheus-client` writes only the first and the
//! `prometheus` crate only the second, so the second is made from the first, line by line, and
//! both have the same series. This module takes text and returns text; it must not count.

use std::fmt::Write as _;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Text,
}

const OPEN_METRICS: &str = "application/openmetrics-text";

impl ExpositionFormat {
    /// What the sender of this `Accept` header wants (RFC 9110, 12.5.1):
    /// `OpenMetrics` where it is named and not ranked below plain text.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let [mut open_metrics, mut text] = [0.0; 2];
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let weight = match parts.next().unwrap_or_default().to_ascii_lowercase() {
                name if name == OPEN_METRICS => &mut open_metrics,
                name if name == "text/plain" => &mut text,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(1.0, |number| number.parse().unwrap_or(0.0));
            *weight = f32::max(*weight, quality);
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The media type, with its version.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The `OpenMetrics` text in this format.
    pub(super) fn of(self, open_metrics: String) -> String {
        match self {
            Self::OpenMetrics => open_metrics,
            Self::Text => text(&open_metrics),
        }
    }
}

/// What differs (`expfmt/openmetrics_create.go` and `text_create.go` of
/// `github.com/prometheus/common` write both): a family has its samples' full name, units
/// and the end are not marked, there are fewer types and no exemplars.
fn text(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // Its name depends on the type, which follows.
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            // Writing to a String cannot fail.
            if let Some((_, words)) = help.take().filter(|(name, _)| *name == family) {
                let _ = writeln!(out, "# HELP {family}{suffix} {words}");
            }
            let _ = writeln!(out, "# TYPE {family}{suffix} {kind}");
        } else if !line.starts_with('#') {
            out.push_str(without_exemplar(line));
            out.push('\n');
        }
    }
    out
}

/// A sample without what follows ` # ` outside of its labels.
fn without_exemplar(sample: &str) -> &str {
    let [mut quoted, mut escaped] = [false; 2];
    for (at, letter) in sample.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => return sample.get(..at).unwrap_or(sample).trim_end(),
            _ => {}
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_family_gets_the_name_and_type_of_the_older_format() {
        let open_metrics = "\
# HELP reviews Reviews answered.
# TYPE reviews counter
reviews_total{route=\"mutate\"} 1
reviews_total{route=\"a # \\\" } # b\"} 2 # {trace=\"x\"} 1 3.5
# HELP build The build.
# TYPE build info
build_info{version=\"1\"} 1
# HELP took_seconds How long.
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le=\"+Inf\"} 1 # {} 0.5
took_seconds_count 1
took_seconds_sum 0.5
# TYPE state stateset
state{state=\"a\"} 1
# HELP odd Odd.
# TYPE odd unknown
odd 1
# EOF
";
        let expected = "\
# HELP reviews_total Reviews answered.
# TYPE reviews_total counter
reviews_total{route=\"mutate\"} 1
reviews_total{route=\"a # \\\" } # b\"} 2
# HELP build_info The build.
# TYPE build_info gauge
build_info{version=\"1\"} 1
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le=\"+Inf\"} 1
took_seconds_count 1
took_seconds_sum 0.5
# TYPE state gauge
state{state=\"a\"} 1
# HELP odd Odd.
# TYPE odd untyped
odd 1
";
        assert_eq!(text(open_metrics), expected);
        assert_eq!(text(""), "");
    }

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        // As Prometheus 2.53 and 3.5 send it.
        for accept in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=1.0.0",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ] {
            assert_eq!(
                ExpositionFormat::accepted(accept),
                ExpositionFormat::OpenMetrics,
                "{accept}"
            );
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=much",
            ";,;q=",
        ] {
            assert_eq!(
                ExpositionFormat::accepted(accept),
                ExpositionFormat::Text,
                "{accept}"
            );
        }
    }
}
