//! Final answers that are compared as written.

use super::final_answer::{Mark, announced, marked};

/// The marked answer, or else the first line after an announcement, or else the last line.
pub(super) fn find(text: &str) -> Option<String> {
    let line = |text: &'_ str| text.lines().find(|line| !line.trim().is_empty()).map(str::to_owned);
    let found = match marked(text) {
        Mark::Answer(answer) => answer.to_owned(),
        Mark::Withdrawn => return None,
        Mark::None => match announced(text) {
            Some(found) => line(found?.clause)?,
            None => text.lines().rev().find(|line| !line.trim().is_empty())?.to_owned(),
        },
    };
    let found = found.trim().trim_matches('*').trim().trim_end_matches('.').trim_matches('"');
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    (!found.is_empty()).then_some(found)
}
