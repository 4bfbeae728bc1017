//! Where a text states its final answer: in a box, in a tag, after `####`, or after words such as "the answer is".

use std::sync::LazyLock;

use regex::Regex;

/// How many characters before and after a statement are searched for words that withdraw it.
const NEAR: usize = 80;
/// The maximum length of a boxed answer in bytes.
const LONGEST: usize = 4000;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\(?:boxed|fbox|framebox)\s*(\{|[0-9A-Za-z])"));
static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<answer>(.*?)</answer>"));
static HASHES: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^[ \t*]*####[ \t]*(.*)$"));
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#""(?:final[_ ])?answer"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([^",}\s][^,}\n]*))"#));
static ANNOUNCEMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?:answers?|output)\b[^.\n:=]{0,40}?(?::|=|\s[-–—]\s|\b(?:is|are|was|be|equals)\b)[\s:*_]*")
});
/// Text right before something that is not an answer.
static DENIED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)(?: \b(?:not|never|cannot\ be|neither|nor|instead\ of|rather\ than)\b | n['’]t(?:\ be)?
        | \b(?:first|initially|originally|previously|earlier)\s(?:i\s|we\s)?
          (?:thought|guess(?:ed)?|got|said|wrote|had|believed|answer(?:ed)?)\b[^.$\\]* )
        (?:\s|[$*(:{]|\\\(|\\\[|equal\sto|simply)*$",
    )
});
/// Text right after an answer that is withdrawn.
static WITHDRAWN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix)^(?:\s|[$)\].,;:!?*]|\\\)|\\\])*(?:(?:but|and|wait|no|hmm|oops|sorry|actually|however)\b[\s,.!:]*)*
        (?:(?:that|this|it|which)\b)?(?:['’]s|\s*\b(?:is|was|are|cannot\sbe|seems|must\sbe)\b)?\s*
        (?:wrong|incorrect|not\s(?:right|correct|possible|the\sanswer|it)|an?\s(?:mistake|error)|extraneous|impossible
        |rejected|too\s(?:big|small|large))\b",
    )
});

/// Where a model continues with a question of its own, or with the next turn of a conversation.
static NEXT_QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?mx) ^[\s\#*>]*(?:(?i:next|new|another)\s+(?i:question|problem)|Q|Question|Problem|Exercise|Human|User)\b[\s\#*]*[0-9]*[\s*]*(?::|[0-9][.)])
        | \b(?:Question|QUESTION)(?:\s[0-9]+)?: | <\|(?:im_start|im_end|endoftext|eot_id|start_header_id|user|end)\|> | </s>
        | ^[\s\#*]*\#\#\#\s(?:Instruction|Input|Question|Problem)\b",
    )
});

/// A number that is not the number of a step.
static CONCLUSION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)(?:^|[^p\s0-9]\s*|[^e]p\s*|\d\s+)[0-9]"));

/// A text up to the question with which it continues after its answer.
///
/// A question before any answer is the original question, repeated.
pub(super) fn before_next_question(text: &str) -> &str {
    let answers = |text: &str| {
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let concludes = CONCLUSION.is_match(last) && !last.trim_end().ends_with('?');
        concludes || marked(text) != Mark::None || announced(text).is_some()
    };
    let next = NEXT_QUESTION.find_iter(text).find(|found| answers(after_question(&text[..found.start()])));
    next.map_or(text, |found| &text[..found.start()])
}

/// The text after the question that it begins by repeating.
fn after_question(text: &str) -> &str {
    match NEXT_QUESTION.find(text) {
        Some(found) if text[..found.start()].trim().is_empty() => {
            text[found.end()..].trim_start().split_once('\n').map_or("", |(_, after)| after)
        }
        _ => text,
    }
}

/// How a text marks its final answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    /// The answer, in a box or a tag, or after `####`.
    Answer(&'a str),
    /// Every mark is empty, cut short or withdrawn, so there is no answer.
    Withdrawn,
    None,
}

/// The last marked answer that is not withdrawn. In the published references, too, the last box holds the answer.
pub(super) fn marked(text: &str) -> Mark<'_> {
    let mut has_boxes = false;
    let mut last = None;
    for found in BOX.captures_iter(text) {
        has_boxes = true;
        let (Some(whole), Some(opening)) = (found.get(0), found.get(1)) else { continue };
        let (content, end) = if opening.as_str() == "{" {
            let Some(end) = closing_brace(text, opening.start()) else { continue };
            (&text[opening.end()..end], end + 1)
        } else {
            (opening.as_str(), opening.end())
        };
        if !content.trim().is_empty() && !is_withdrawn(text, whole.start(), end) {
            last = Some(content.trim());
        }
    }
    if has_boxes {
        return last.map_or(Mark::Withdrawn, Mark::Answer);
    }
    let tagged = TAG.captures_iter(text).last().or_else(|| HASHES.captures_iter(text).last());
    let field = || FIELD.captures_iter(text).last().and_then(|found| found.get(1).or(found.get(2)));
    match tagged.and_then(|found| found.get(1)).or_else(field) {
        Some(content) if content.as_str().trim().is_empty() => Mark::Withdrawn,
        Some(content) => Mark::Answer(content.as_str().trim()),
        None => Mark::None,
    }
}

/// The text after the last announcement of an answer, up to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced<'a> {
    pub clause: &'a str,
    /// Whether it is on a line of its own.
    pub on_next_line: bool,
}

/// The last announcement; `Some(None)` if it says that there is no answer.
pub(super) fn announced(text: &str) -> Option<Option<Announced<'_>>> {
    let found = ANNOUNCEMENT.find_iter(text).last()?;
    let clause = &text[found.end()..];
    let denies = ["not ", "neither ", "unknown", "unclear", "undetermined"];
    let is_denied = denies.iter().any(|word| clause.to_ascii_lowercase().starts_with(word));
    let sentence = found.end() + sentence(clause).len();
    if clause.is_empty() || is_denied || WITHDRAWN.is_match(near_after(text, sentence)) {
        return Some(None);
    }
    Some(Some(Announced { clause, on_next_line: found.as_str().contains('\n') }))
}

/// The text up to the end of its first sentence or line. A point between digits does not end a sentence.
pub(super) fn sentence(text: &str) -> &str {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let ends = letters.peek().is_none_or(|(_, next)| next.is_whitespace());
        if letter == '.' && text[..at].ends_with("..") {
            return &text[..=at];
        }
        let begins_ellipsis = text[at..].starts_with("..");
        if letter == '\n' || (!begins_ellipsis && matches!(letter, '.' | '!' | '?') && ends) {
            return &text[..at];
        }
    }
    text
}

/// Whether the words around the statement between two positions deny or withdraw it.
fn is_withdrawn(text: &str, start: usize, end: usize) -> bool {
    DENIED.is_match(near_before(text, start)) || WITHDRAWN.is_match(near_after(text, end))
}

fn near_before(text: &str, end: usize) -> &str {
    let start = text[..end].char_indices().rev().take(NEAR).last().map_or(end, |(at, _)| at);
    &text[start..end]
}

fn near_after(text: &str, start: usize) -> &str {
    let end = text[start..].char_indices().nth(NEAR).map_or(text.len(), |(at, _)| start + at);
    &text[start..end]
}

/// The position of the brace that closes the one at `open`; escaped braces do not count.
fn closing_brace(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(open).take(LONGEST) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Mark<'_>) {
        assert_eq!(marked(text), expected, "{text}");
    }

    #[test]
    fn the_last_mark_that_stands_is_found() {
        check(r"so $\boxed{\frac{1}{2}}$.", Mark::Answer(r"\frac{1}{2}"));
        check(r"\boxed{\{1, 2\}}", Mark::Answer(r"\{1, 2\}"));
        check(r"\boxed {3}, that is, \fbox{4}", Mark::Answer("4"));
        check(r"\boxed 7", Mark::Answer("7"));
        check(r"\boxed{5}. Also \boxed{", Mark::Answer("5"));
        check(r"\boxed{5} is wrong, \boxed{6}", Mark::Answer("6"));
        check(r"It is $\boxed{6}$. (At first I thought it was $\boxed{5}$.)", Mark::Answer("6"));
        check(r"It is $\boxed{6}$. (I first thought it was $\boxed{5}$.)", Mark::Answer("6"));
        check(r"The answer is not $\boxed{5}$.", Mark::Withdrawn);
        check(r"\boxed{5}? No, that's wrong.", Mark::Withdrawn);
        check(r"\boxed{}", Mark::Withdrawn);
        check(r"we obtain \boxed{\frac{1}{", Mark::Withdrawn);
        check("<answer> 5 </answer>", Mark::Answer("5"));
        check("x\n#### 1,234\n(800 last year)", Mark::Answer("1,234"));
        check(r#"{"answer": "12", "confidence": 0.9}"#, Mark::Answer("12"));
        check(r#"{"answer": 12.5}"#, Mark::Answer("12.5"));
        check("no idea", Mark::None);
    }

    #[test]
    fn announcements_are_found() {
        let clause = |text| announced(text).map(|found| found.map(|found| sentence(found.clause).to_owned()));
        let check = |text, expected: Option<Option<&str>>| {
            assert_eq!(clause(text), expected.map(|found| found.map(str::to_owned)), "{text}");
        };
        check("Final Answer: The final answer is $-4$. I hope it is correct.", Some(Some("$-4$")));
        check("**Answer:** $3.5$", Some(Some("$3.5$")));
        check("The answer to this question is therefore 7!", Some(Some("therefore 7")));
        check("Final answer - 8-", Some(Some("8-")));
        check("Answer:\n-40 in total", Some(Some("-40 in total")));
        check("The answer is not 5.", Some(None));
        check("The answer is 5. That is wrong.", Some(None));
        check("The answer is", Some(None));
        check("I cannot say.", None);
    }
}
