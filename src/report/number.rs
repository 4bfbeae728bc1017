//! Formats numbers for people.

/// With `decimals` digits after the point, and never a minus before zero.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let is_zero = text.trim_start_matches('-').chars().all(|digit| matches!(digit, '0' | '.'));
    if is_zero { text.trim_start_matches('-').to_string() } else { text }
}

/// Three significant digits, two below 0.01; thousands in full.
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        _ if magnitude >= 100.0 || magnitude == 0.0 => 0,
        _ if magnitude >= 10.0 => 1,
        _ if magnitude >= 1.0 => 2,
        _ => (1 - magnitude.log10().floor() as i32).clamp(3, 7) as usize,
    };
    fixed(value, decimals)
}

/// A share in whole per cent; a dash if there is none, as for a share of nothing.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", fixed(100.0 * share, 0)) } else { "-".to_owned() }
}

/// `1 call`, `3 calls`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `8.2 s`, `3 min 4 s`, `1 h 20 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_kept() {
        let check = |value: f64, expected: &str| assert_eq!(significant(value), expected);
        check(0.0, "0");
        check(-0.0, "0");
        check(1234.56, "1235");
        check(61.26, "61.3");
        check(3.0, "3.00");
        check(0.2512, "0.251");
        check(0.00314159, "0.0031");
        check(-0.0314159, "-0.031");
        check(1e-12, "0.0000000");
        check(f64::NAN, "NaN");
    }

    #[test]
    fn durations_have_two_units() {
        let check = |seconds: f64, expected: &str| assert_eq!(duration(seconds), expected);
        check(0.04, "0.0 s");
        check(9.44, "9.4 s");
        check(59.2, "59 s");
        check(184.0, "3 min 4 s");
        check(4800.0, "1 h 20 min");
    }
}
