//! Final answers that are compared as they are written.

use super::final_answer::{Mark, announced, marked};

/// The marked answer; else the line that an announcement begins; else the last line.
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
