//! Numbers found in the texts of solutions, as in GSM8K.

use lamas::task::AnswerForm;

/// Checks for each text whether it states this number or another.
#[track_caller]
fn check(number: &str, is_stated: bool, texts: &[&str]) {
    for text in texts {
        let found = AnswerForm::Number.find(text);
        let is_right = found.as_ref().is_some_and(|found| AnswerForm::Number.equal(number, found));
        assert_eq!(is_right, is_stated, "{number} in `{text}`: {found:?}");
    }
}

#[test]
fn signs_are_read_whatever_dash_they_are() {
    check("-6", true, &["#### - 6", "#### -6", "#### –6", "#### – 6", "#### −6", "The answer is - 6.", "Answer: - $6"]);
    check(
        "-6",
        true,
        &["\\boxed{- 6}", "#### -$6", "#### $-6", "#### (-6)", "#### minus 6", "#### negative six", "= - 6"],
    );
    check("6", false, &["#### - 6", "#### –6", "The answer is - 6.", "#### minus 6", "7 - 13 = - 6", "- 6"]);
    check("-6", false, &["#### 6", "#### 9 - 6", "9-6", "Answer:\n- 6 pens"]);
    check("6", true, &["Final answer - 6-", "Answer:\n-6 in total", "Parts:\n- 2 pens\n- 6 in all"]);
}

#[test]
fn groups_of_digits_are_whole() {
    let good =
        ["print(2_604)", "#### 2,604", "#### 2_604", "#### 2 604", "#### 2'604", "\\boxed{2{,}604}", "$2,604.00"];
    check("2604", true, &good);
    check("2604", true, &["#### 2.604k", "#### 2.604 thousand", "```python\nprint(2_604)\n```"]);
    let bad = ["#### 2604,000", "#### 2,6040", "#### 26,04", "#### 2.604", "#### 2,604,000", "#### 2_6040", "2604,000"];
    check("2604", false, &bad);
    check("2604000", false, &["#### 2604,000", "#### 2.604.000"]);
}

#[test]
fn what_stands_around_a_number_changes_it() {
    let other = [
        "37k",
        "37K",
        "$37k",
        "37M",
        "37 thousand",
        "37 hundred",
        "37 million",
        "37:20",
        "1:37",
        "37²",
        "37³",
        "37^2",
        "37**2",
        "2^37",
        "37½",
        "37 1/2",
        "37\\frac{1}{2}",
        "37 and a half",
        "37π",
        "√37",
        "37x",
        "37 tenths",
        "37e2",
        "37 or 38",
        "37 to 39",
        "37-39",
        "37–39",
        "37 and 38",
        "37, 38",
        "more than 37",
        "> 37",
        "37 ± 1",
        "37 plus 1",
        "1/37",
        "37/2",
    ];
    for answer in other {
        check("37", false, &[&format!("#### {answer}"), &format!("The answer is {answer}.")]);
    }
    let same = [
        "37",
        "37.",
        "37.0",
        "$37",
        "37 km/h",
        "37kg",
        "37m",
        "37%",
        "37 (of 50)",
        "**37**",
        "37 kids",
        "37 minutes",
        "€37",
        "37 = 30 + 7",
        "30 + 7 = 37",
        "37, since 30 + 7 = 37",
        "thirty-seven",
        "about 37",
        "at least 37",
        "74/2",
        "37 Kids",
    ];
    for answer in same {
        check("37", true, &[&format!("#### {answer}"), &format!("The answer is {answer}.")]);
    }
    check("37000", true, &["#### 37k", "#### 37 thousand"]);
    check("37.5", true, &["#### 37½", "#### 37\\frac12", "#### 37 and a half", "#### 75/2"]);
    check("81", true, &["#### 9²", "#### 3^4", "#### 9**2"]);
    check("1000000", true, &["#### 10^6", "#### 1e6", "#### 1 million", "#### 1M"]);
    check("3", false, &["three quarters", "three and a half", "three to five", "three point one"]);
}

#[test]
fn only_whole_numbers_have_noise() {
    check("9", true, &["#### 9.000000001", "#### 8.9999999999"]);
    check("0.7", false, &["#### 0.70000000000000007", "#### 0.69999999999999996"]);
    check("9", false, &["#### 9.0001"]);
}

#[test]
fn a_text_ends_where_it_asks_another_question() {
    let next = "\n\nQuestion: Tom has 4 cards and buys 1. How many are there?\nAnswer: 4 + 1 = 5\n#### 5";
    for first in [
        "#### 24",
        "The answer is 24.",
        "\\boxed{24}",
        "She sells 8 * 3 = 24 pies.",
        "Question: Pies?\nAnswer: 24\n#### 24",
    ] {
        check("24", true, &[&format!("{first}{next}")]);
        check("5", false, &[&format!("{first}{next}")]);
    }
    let others = [
        "#### 24 Question: Tom? #### 5",
        "The answer is 24.\nQ: Tom?\nA: The answer is 5.",
        "#### 24\n**Question 2:** Tom?\n#### 5",
        "#### 24\n### Question\nTom?\n#### 5",
        "#### 24<|im_end|>\n<|im_start|>user\n#### 5",
        "#### 24</s>\n#### 5",
        "#### 24\nHuman: Tom?\nAssistant: #### 5",
        "#### 24\n\nProblem: Tom?\n#### 5",
        "#### 24\nNext question: Tom?\n#### 5",
    ];
    check("24", true, &others);
    check(
        "24",
        true,
        &["Question: How many pies?\nAnswer: 24", "Let me repeat it.\nQuestion: pies?\n#### 24", "Q: pies?\nA: 24"],
    );
    let text = format!("So $\\boxed{{\\frac12}}$.{next}");
    assert_eq!(AnswerForm::Mathematics.find(&text).as_deref(), Some("\\frac12"));
    assert_eq!(
        AnswerForm::MultipleChoice.find("The answer is (B).\n\nQuestion: Which?\nAnswer: (D)").as_deref(),
        Some("B")
    );
}
