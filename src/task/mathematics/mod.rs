//! Mathematical answers as in the MATH benchmark: LaTeX or plain text, compared exactly wherever that is possible.
//!
//! A text becomes tokens, tokens become an expression, and its parts become exact values. What cannot be parsed is
//! compared as written. No text takes long: length, nesting and work are limited.

mod approximate;
mod arithmetic;
mod budget;
mod commands;
mod digits;
mod equal;
mod evaluate;
mod exact;
mod expression;
mod extract;
mod functions;
mod integers;
mod numeral;
mod parse;
mod power;
mod real_set;
mod reduce;
mod relation;
mod spelling;
mod token;
mod trigonometry;
mod words;

use budget::Budget;
use expression::Expression;
use parse::Reading;

/// Answers that would become longer than this, such as `1000!`, are spelled as they were written.
const LONGEST_SPELLING: usize = 300;

/// Whether two answers are the same. Different numbers never are, except that by convention `20` may stand for `20%`.
pub(super) fn equal(reference: &str, answer: &str) -> bool {
    let (reference, answer) = (tidy(reference), tidy(answer));
    if reference.is_empty() || answer.is_empty() {
        return false;
    }
    if reference.split_whitespace().eq(answer.split_whitespace()) {
        return true;
    }
    let written = |text| token::tokens(text, true);
    if written(reference).is_some_and(|tokens| !tokens.is_empty() && Some(tokens) == written(answer)) {
        return true;
    }
    let budget = Budget::new();
    let is_equal = |reading| {
        let read = |text| parse::parse(text, reading);
        read(reference).zip(read(answer)).is_some_and(|(left, right)| equal::equal(&left, &right, &budget))
    };
    is_equal(Reading::USUAL)
        || is_listed(reference, answer, &budget)
        || is_numeral(reference, answer)
        || is_numeral(answer, reference)
        || (has_log_and_ln(reference, answer) && is_equal(Reading { natural_logs: true, ..Reading::USUAL }))
}

/// Whether one answer has a natural logarithm and the other a logarithm whose base may be meant to be e.
fn has_log_and_ln(reference: &str, answer: &str) -> bool {
    let is_natural = |text: &str| ["ln", "log_e", "log_{e}"].iter().any(|name| text.contains(name));
    (reference.contains("log") && is_natural(answer)) || (is_natural(reference) && answer.contains("log"))
}

/// Whether the answer `225,227` to the reference `225, 227` is that list, in the same order. By convention, the space
/// may be left out.
fn is_listed(reference: &str, answer: &str, budget: &Budget) -> bool {
    let lexed = |text, joins_commas| token::tokens(text, joins_commas);
    if lexed(reference, true) != lexed(reference, false) || lexed(answer, true) == lexed(answer, false) {
        return false;
    }
    let read = |text| parse::parse(text, Reading { joins_commas: false, ..Reading::USUAL });
    let Some((left, right)) = read(reference).zip(read(answer)) else { return false };
    let (left, right) = (left.parts(), right.parts());
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal::equal(left, right, budget))
}

/// Whether the answer is the numeral of the reference, such as `A3F_{16}`, without its base.
fn is_numeral(reference: &str, answer: &str) -> bool {
    let Some(Expression::Based { digits, .. }) = parse::parse(reference, Reading::USUAL) else { return false };
    let bare = answer.trim_start_matches("\\text{").trim_end_matches('}').trim();
    digits.parse::<u64>().is_err() && bare.eq_ignore_ascii_case(&digits)
}

/// The final answer in a text, as written there.
pub(super) fn find(text: &str) -> Option<String> {
    extract::find(text)
}

/// The canonical spelling of an answer.
pub(super) fn spelling(answer: &str) -> String {
    let answer = tidy(answer);
    let spelled =
        parse::parse(answer, Reading::USUAL).and_then(|expression| spelling::spell(&expression, &Budget::new()));
    spelled
        .filter(|spelled| spelled.len() <= LONGEST_SPELLING)
        .unwrap_or_else(|| answer.trim_matches('$').split_whitespace().collect::<Vec<_>>().join(" "))
}

fn tidy(text: &str) -> &str {
    if text.trim_end().ends_with("...") {
        return text.trim();
    }
    text.trim_start().trim_end_matches(|letter: char| letter.is_whitespace() || ".,;:".contains(letter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each line holds answers that are all the same, separated by ` == `.
    const EQUAL: &str = r"
2\sqrt{3} == \sqrt{12} == sqrt(12) == \frac{6}{\sqrt 3}
\frac{1}{1+\sqrt{2}} == \sqrt2-1
\sqrt{5+2\sqrt6} == \sqrt2+\sqrt3
\cos 58^\circ == \sin 32^\circ
\log_2 3 == \frac{\ln 3}{\ln 2}
\sqrt[3]{16} == 2\sqrt[3]{2} == 2^{4/3}
0.1\overline{6} == 1/6
3\frac18 == 3 1/8 == 3.125 == 25/8
12,\!345 == 12{,}345 == 12345 == 12 345
25\% == 25 \text{ percent} == \frac14
18\text{ cm}^2 == 18 \text{ square centimeters} == 18
x^2-1 == (x-1)(x+1)
\frac{x^2-1}{x-1} == x+1
-3 \le x < 5 == [-3,5) == x \in [-3, 5)
x<-1 \text{ or } x>3 == (-\infty,-1)\cup(3,\infty) == (3, \infty) U (-\infty, -1)
1 \pm i\sqrt{3} == 1-i\sqrt3, 1+i\sqrt3
x=2, y=3 == (x,y)=(2,3)
y = 3 - x/2 == x+2y=6
\frac{1}{5}\begin{pmatrix}1\\2\end{pmatrix} == \begin{bmatrix} 1/5 \\ 2/5 \\ \end{bmatrix}
2:4 == 1:2
\text{(E)} == E == \textbf{E}
2, 3, \text{ and } 5 == \{5, 3, 2\}
1112112_3 == 1112112_{\text{three}}
|x-y| == |y-x|
\sin^2 x + \cos^2 x == 1
";

    /// Each line holds two answers that are not the same.
    const DIFFERENT: &str = r"
\sqrt{x^2} == x
\cos(1/1000000) == 1
\sqrt{10^{30}+1} == 10^{15}
e^{\pi\sqrt{163}} == 262537412640768744
2^{2005}+1 == 2^{2005}
0.3333333333333333 == \frac13
3.141592653589793 == \pi
1.93185165257814 == \sqrt{2+\sqrt3}
x=5 == y=5
x>2 == x \ge 2
[1,2] == (1,2)
(1,2) == (2,1)
12 == 1,2
5 feet == 5 inches
5 cm^2 == 5 cm
8_{10} == 8_9
20\% == 2
1,2,2 == 1,1,2
\pm 2 == 2
\begin{pmatrix}1&2\\3&4\end{pmatrix} == \begin{pmatrix}1&3\\2&4\end{pmatrix}
\text{not Monday} == Monday
1/0 == 2/0
x=3, y=2 == (x,y)=(2,3)
";

    #[test]
    fn equal_answers_are_told_from_different_ones() {
        for line in EQUAL.lines().filter(|line| !line.is_empty()) {
            let answers: Vec<&str> = line.split(" == ").collect();
            for (left, right) in answers.iter().flat_map(|left| answers.iter().map(move |right| (left, right))) {
                assert!(equal(left, right), "{left} is {right}");
                assert!(equal(left, &spelling(right)), "{left} is {right}, spelled {}", spelling(right));
            }
        }
        for line in DIFFERENT.lines().filter(|line| !line.is_empty()) {
            let (left, right) = line.split_once(" == ").expect("two answers");
            assert!(!equal(left, right) && !equal(right, left), "{left} is not {right}");
        }
    }

    #[test]
    fn nothing_is_too_deep_or_too_long() {
        for part in [
            "(", "{", "\\frac{", "\\sqrt{", "-", "2^", "x_{", "!", "1/", "|", "\\text{", "(x+y+z)", "9^{9^", "1,",
            "0.\\bar", ".\\dot ",
        ] {
            for count in [30, 200, 5000] {
                let text = part.repeat(count);
                for text in [format!("{text}1"), format!("{text}1{}", "}".repeat(count)), text] {
                    spelling(&text);
                    assert!(!equal(&text, "7"), "{part} {count} times");
                }
            }
        }
    }

    const PIECES: &str = r"\frac|{|}|(|)|[|]|\sqrt|^|_|1|2|12|1000|x|y|i|\pi|e|+|-|*|/|\pm|,|;| |=|<|\cup|\infty|!|%|^\circ|
        \text{|and|or|cm|\begin{pmatrix}|\end{pmatrix}|&|\\|\binom|\log|\sin|0.|\overline{3}|\{|\}|:|$|\over|é|√|²|,000|'|\mathbb{R}|\ne|\dot{3}|(3)|...|½|₂|³|:|00|am|C_|C(|!!|_{16}|A3F|\setminus|\mid|\left]|
        \right[|[|]|\cap|\in|\le|0.3|\bar|…|1,000|\log|\ln|\tan^{-1}|\abs|0x|^+|~";

    proptest! {
        #[test]
        fn any_text_is_graded(pieces in prop::collection::vec(0_usize..100, 0..30), text in "\\PC{0,40}") {
            let known: Vec<&str> = PIECES.split('|').map(|piece| piece.trim_matches('\n')).collect();
            let written: String = pieces.iter().filter_map(|at| known.get(*at).copied()).collect();
            for text in [written, text] {
                let spelled = spelling(&text);
                prop_assert!(spelled.is_empty() || equal(&text, &text));
                equal(&text, &spelled);
                find(&text);
            }
        }

        #[test]
        fn whole_numbers_are_equal_only_to_themselves(left: i64, right: i64) {
            prop_assert_eq!(equal(&left.to_string(), &right.to_string()), left == right);
            prop_assert_eq!(equal(&format!("\\frac{{{left}}}{{7}}"), &format!("{right}/7")), left == right);
        }
    }
}
