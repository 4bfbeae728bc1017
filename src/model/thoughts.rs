//! What a model says to itself before it answers: text in `<think>` and `</think>`.

const BEGIN: &str = "<think>";
const END: &str = "</think>";

/// The text after the thoughts: all of it if there are none, nothing if they do not end. If the prompt has already
/// begun them, the text has only their end.
pub fn without_thoughts(text: &str) -> &str {
    match text.split_once(END) {
        Some((thoughts, rest)) if is_begun(thoughts) || !thoughts.contains(BEGIN) => {
            without_thoughts(rest.trim_start())
        }
        None if is_begun(text) => "",
        _ => text,
    }
}

fn is_begun(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_no_part_of_an_answer() {
        let check = |text: &str, expected: &str| assert_eq!(without_thoughts(text), expected, "{text}");
        check("The answer is 5.", "The answer is 5.");
        check("  indented\n", "  indented\n");
        check("<think>\n2 + 3 = 6?\n</think>\n\nThe answer is 5.", "The answer is 5.");
        check("\n<think></think>5", "5");
        check("2 + 3 = 6?</think>\nThe answer is 5.", "The answer is 5.");
        check("<think>a</think> <think>b</think> c", "c");
        check("<think>2 + 3 =", "");
        check("<think>a</think>", "");
        check("</think>", "");
        check("", "");
        // Text about the tags is not a thought.
        check("Write <think>, then </think>.", "Write <think>, then </think>.");
        check("<thinking> is another tag", "<thinking> is another tag");
    }
}
