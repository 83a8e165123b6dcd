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
    use proptest::prelude::*;

    /// The duration in nanoseconds by the grammar alone, with exact fractions; `None` for what
    /// the grammar does not allow.
    fn nanoseconds(text: &str) -> Option<u128> {
        const UNITS: [(&str, u128); 8] = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("μs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
            ("m", 60_000_000_000),
            ("h", 3_600_000_000_000),
        ];
        let text = text.strip_prefix('+').unwrap_or(text);
        if text == "0" {
            return Some(0);
        }
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (mut rest, mut total) = (text, 0);
        while !rest.is_empty() || text.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
            let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
            let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
            let digits = number.replacen('.', "", 1);
            let fraction = number
                .split_once('.')
                .map_or(0, |(_, fraction)| fraction.len());
            total +=
                digits.parse::<u128>().ok()? * unit / 10_u128.pow(u32::try_from(fraction).ok()?);
            rest = after;
        }
        Some(total)
    }

    proptest! {
        #[test]
        fn any_duration_is_what_the_grammar_says(
            text in "[+]?(([0-9]{0,6}([.][0-9]{0,12})?|[0-9.]{0,4})(ns|us|µs|ms|s|m|h|d|S| )?){0,4}"
        ) {
            let exact = nanoseconds(&text);
            // Go refuses what does not fit 63 bits.
            prop_assume!(exact.is_none_or(|exact| exact < 1 << 63));
            let found = parse_duration(&text).map(|found| found.as_nanos());
            prop_assert_eq!(found.is_some(), exact.is_some());
            // Each digit of a fraction is rounded down to a nanosecond.
            let lost = exact.unwrap_or_default().abs_diff(found.unwrap_or_default());
            prop_assert!(lost < 200, "{} ns", lost);
        }

        #[test]
        fn any_query_leaves_time_and_never_more_than_the_longest(query in ".{0,40}|(x=y&)?timeout=.{0,20}") {
            let allowed = allowance(Some(&query));
            prop_assert!(allowed + LONGEST_MARGIN <= LONGEST);
        }
    }

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
