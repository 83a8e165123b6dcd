//! How long a review may take: the API server's `?timeout=`, less a margin.
//!
//! Durations are written as in Go (`1m30s`), as the API server writes them. kube's reader of
//! such durations panics on overflow, and anybody may send this query. This
//! module must not read a clock.

use std::time::Duration;

/// No API server waits longer for a webhook (`timeoutSeconds` is at most 30,
/// k8s.io/api `admissionregistration/v1`).
const LONGEST: Duration = Duration::from_secs(30);
/// The most that is kept back for the way of the answer.
const LONGEST_MARGIN: Duration = Duration::from_millis(500);

/// The time that a review with this query has, counted from its arrival.
///
/// A tenth is kept back, so that our answer arrives before the API server gives up. Without a
/// usable `timeout` it is the longest time that an API server waits.
#[must_use]
pub fn allowance(query: Option<&str>) -> Duration {
    let asked = query
        .and_then(|query| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("timeout="))
        })
        .and_then(parse_duration)
        .filter(|asked| !asked.is_zero())
        .map_or(LONGEST, |asked| asked.min(LONGEST));
    asked.saturating_sub((asked / 10).min(LONGEST_MARGIN))
}

/// Reads a duration as Go's `time.ParseDuration` does: `300ms`, `1.5h`, `2h45m`.
///
/// Units are `ns`, `us` (or `µs`), `ms`, `s`, `m`, `h`. `None` for all that Go
/// refuses, for a negative duration, and for one beyond what fits.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    loop {
        let (term, after) = parse_term(rest)?;
        total = total.checked_add(term)?;
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
}

/// One number with its unit, and what follows it.
fn parse_term(text: &str) -> Option<(Duration, &str)> {
    let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, rest) = text.split_at_checked(number_end)?;
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(unit_end)?;
    let nanos: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    let mut sum = whole.checked_mul(nanos)?;
    let mut scale = nanos;
    for digit in fraction.chars() {
        scale /= 10;
        sum = sum.checked_add(scale.checked_mul(u64::from(digit.to_digit(10)?))?)?;
    }
    Some((Duration::from_nanos(sum), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let milliseconds = |text| parse_duration(text).map(|d| d.as_micros());
        for (text, expected) in [
            ("0", Some(0)),
            ("2s", Some(2_000_000)),
            ("+5s", Some(5_000_000)),
            ("1m30s", Some(90_000_000)),
            ("1.5h0.5m", Some(5_430_000_000)),
            (".5s", Some(500_000)),
            ("5.s", Some(5_000_000)),
            ("300ms", Some(300_000)),
            ("7us", Some(7)),
            ("7µs", Some(7)),
            ("10", None),
            ("", None),
            (".s", None),
            ("s", None),
            ("-2s", None),
            ("2 s", None),
            ("1.2.3s", None),
            ("2d", None),
            ("99999999999999999999s", None),
            ("9999999999999999h", None),
            ("2sé", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_part_is_kept_back_and_no_review_has_more_than_thirty_seconds() {
        assert_eq!(allowance(Some("timeout=2s")), Duration::from_millis(1800));
        assert_eq!(
            allowance(Some("a=b&timeout=10s")),
            Duration::from_millis(9500)
        );
        assert_eq!(allowance(Some("timeout=5m")), Duration::from_millis(29_500));
        for absent in [
            None,
            Some(""),
            Some("timeout=soon"),
            Some("timeout=0s"),
            Some("xtimeout=1s"),
        ] {
            assert_eq!(
                allowance(absent),
                Duration::from_millis(29_500),
                "{absent:?}"
            );
        }
    }
}
