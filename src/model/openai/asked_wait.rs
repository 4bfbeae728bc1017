//! The wait that a server asks for, in whichever header.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;

/// What each limit resets in, after what is left of it.
const LIMITS: [[&str; 2]; 4] = [
    ["x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
    ["x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
    ["x-ratelimit-remaining", "x-ratelimit-reset"],
    ["ratelimit-remaining", "ratelimit-reset"],
];
/// Numbers of seconds from here on are moments since 1970, and from there on in milliseconds.
const MOMENT: f64 = 1e9;
const MOMENT_IN_MILLISECONDS: f64 = 1e12;

/// The wait that a server asks for: milliseconds, seconds, or a date; some gateways pass on only their provider's. A server
/// that met a limit may name when each is lifted instead. Waits too long to be kept are [`Duration::MAX`].
pub fn asked_wait(headers: &HeaderMap, is_rate_limit: bool, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds = || text("retry-after-ms").and_then(seconds).map(|milliseconds| milliseconds / 1e3);
    let asked = || text("retry-after").and_then(seconds);
    let date = || {
        let date = httpdate::parse_http_date(text("retry-after")?).ok()?;
        Some(date.duration_since(now).unwrap_or_default().as_secs_f64())
    };
    let provider = || text("llm_provider-retry-after").and_then(seconds);
    let limits = || if is_rate_limit { lifted(text, now) } else { None };
    let wait = milliseconds().or_else(asked).or_else(date).or_else(provider).or_else(limits)?;
    Some(Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or(Duration::MAX))
}

/// When all limits are lifted of which nothing is left; where none is said to be used up, all that are named.
fn lifted<'a>(text: impl Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<f64> {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let limit = |[remaining, reset]: [&str; 2]| {
        let wait = match text(reset).and_then(seconds)? {
            moment if moment >= MOMENT_IN_MILLISECONDS => moment / 1e3 - since_1970,
            moment if moment >= MOMENT => moment - since_1970,
            wait => wait,
        };
        let is_left = text(remaining).and_then(seconds).is_some_and(|remaining| remaining > 0.0);
        Some((is_left, wait))
    };
    let limits: Vec<(bool, f64)> = LIMITS.into_iter().filter_map(limit).collect();
    let longest = |among: &dyn Fn(bool) -> bool| {
        limits.iter().filter(|(is_left, _)| among(*is_left)).map(|(_, wait)| *wait).reduce(f64::max)
    };
    longest(&|is_left| !is_left).or_else(|| longest(&|_| true))
}

/// A number of seconds, or a time such as `6m0s`, `1h2m3.5s` or `20ms`.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|letter: char| !letter.is_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "d" => 86400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        rest = &rest[end..];
        total += number * unit;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], seconds: Option<f64>) {
        let headers = headers.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(asked_wait(&headers, true, now).map(|wait| wait.as_secs_f64()), seconds, "{headers:?}");
    }

    #[test]
    fn the_wait_that_a_server_asks_for_is_read() {
        check(&[], None);
        check(&[("retry-after", "0")], Some(0.0));
        check(&[("retry-after", "2"), ("retry-after-ms", "1500")], Some(1.5));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], Some(30.0));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT")], Some(0.0));
        check(&[("llm_provider-retry-after", "7")], Some(7.0));
        check(&[("retry-after", "soon"), ("llm_provider-retry-after", "7")], Some(7.0));
        check(&[("retry-after", "-3")], Some(0.0));
        check(&[("retry-after", "inf")], None);
        check(&[("retry-after", "6m0s")], Some(360.0));
        let never = Some(Duration::MAX.as_secs_f64());
        check(&[("retry-after", "100000000000000000000")], never);
        check(&[("retry-after-ms", "1e300")], never);
    }

    #[test]
    fn limits_that_are_used_up_are_waited_for() {
        check(&[("x-ratelimit-reset-requests", "6m0s")], Some(360.0));
        check(&[("x-ratelimit-reset-requests", "6m0s"), ("retry-after", "3")], Some(3.0));
        check(&[("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "1h2m3.5s")], Some(3723.5));
        let left = ("x-ratelimit-remaining-requests", "9");
        check(&[left, ("x-ratelimit-reset-requests", "6m0s"), ("x-ratelimit-reset-tokens", "20ms")], Some(0.02));
        check(&[left, ("x-ratelimit-reset-requests", "6m0s")], Some(360.0));
        check(&[("x-ratelimit-reset", "784111787")], Some(784111787.0));
        check(&[("ratelimit-reset", "30")], Some(30.0));
        for odd in ["6 minutes", "m", "6", "6x", "6m0", ""] {
            let expected = if odd == "6" { Some(6.0) } else { None };
            assert_eq!(seconds(odd), expected, "{odd}");
        }
        let headers = [("x-ratelimit-reset".parse().unwrap(), "1700000000000".parse().unwrap())].into_iter().collect();
        let now = UNIX_EPOCH + Duration::from_secs(1_699_999_990);
        assert_eq!(asked_wait(&headers, true, now), Some(Duration::from_secs(10)));
        assert_eq!(asked_wait(&headers, false, now), None);
    }
}
