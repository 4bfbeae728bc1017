//! Dates in prompts. They do not come from a clock: equal questions have equal prompts on every day.

use anyhow::{Context, Result, bail, ensure};

/// The day that the templates of Llama 3 name where there is no clock.
pub const USUAL: &str = "2024-07-26";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From the day of 1 January of year 1 on.
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A date `YYYY-MM-DD`, at midnight, as Python's `strftime` writes it.
///
/// # Errors
/// It is not a date; the format asks for something unknown.
pub fn format(date: &str, format: &str) -> Result<String> {
    let wrong = || format!("expected a date such as {USUAL}, found `{date}`");
    let numbers: Vec<u32> =
        date.split('-').map(str::parse).collect::<std::result::Result<_, _>>().ok().with_context(wrong)?;
    let &[year, month, day] = numbers.as_slice() else { bail!(wrong()) };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let fits = (1..=9999).contains(&year) && (1..=12).contains(&month);
    ensure!(fits && (1..=lengths[month as usize - 1]).contains(&day), wrong());
    let of_year = lengths[..month as usize - 1].iter().sum::<u32>() + day;
    let before = year - 1;
    let weekday = DAYS[((before + before / 4 - before / 100 + before / 400 + of_year - 1) % 7) as usize];
    let name = MONTHS[month as usize - 1];

    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let code = letters.next();
        // `%-d` and `%#d` leave out the zero in front.
        let is_bare = matches!(code, Some('-' | '#'));
        let code = if is_bare { letters.next() } else { code };
        let padded = |number: u32, width: usize| if is_bare { number.to_string() } else { format!("{number:0width$}") };
        text += &match code {
            Some('d') => padded(day, 2),
            Some('e') => format!("{day:2}"),
            Some('m') => padded(month, 2),
            Some('y') => padded(year % 100, 2),
            Some('Y') => year.to_string(),
            Some('j') => padded(of_year, 3),
            Some('b' | 'h') => name[..3].to_owned(),
            Some('B') => name.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('D' | 'x') => format!("{month:02}/{day:02}/{:02}", year % 100),
            Some('H' | 'M' | 'S') => padded(0, 2),
            Some('I') => padded(12, 2),
            Some('p') => "AM".to_owned(),
            Some('T' | 'X') => "00:00:00".to_owned(),
            Some('R') => "00:00".to_owned(),
            Some('Z' | 'z') => String::new(),
            Some('%') => "%".to_owned(),
            other => bail!("expected a format of dates, found `%{}`", other.map_or(String::new(), String::from)),
        };
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let check = |date: &str, pattern: &str, expected: &str| {
            assert_eq!(format(date, pattern).unwrap_or_else(|error| error.to_string()), expected, "{date} {pattern}");
        };
        check("2024-07-26", "%d %b %Y", "26 Jul 2024");
        check("2024-07-26", "%A, %B %-d, %Y (%j) %H:%M", "Friday, July 26, 2024 (208) 00:00");
        check("2000-02-29", "%a %F %D%%", "Tue 2000-02-29 02/29/00%");
        check("2026-11-28", "%a", "Sat");
        check("0001-01-01", "%A", "Monday");
        check("2023-02-29", "%d", "expected a date such as 2024-07-26, found `2023-02-29`");
        check("yesterday", "%d", "expected a date such as 2024-07-26, found `yesterday`");
        check("2024-07-26", "100%", "expected a format of dates, found `%`");
    }
}
