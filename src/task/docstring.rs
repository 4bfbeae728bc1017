//! The examples in a docstring, for problems without published public tests.

use super::Tests;

/// The examples of the last function in a prompt, which is the one to write, as public tests; `None` if there are none.
pub(super) fn tests(prompt: &str) -> Option<Tests> {
    let head = prompt.lines().rev().find_map(|line| line.strip_prefix("def "))?;
    let entry_point = head.split('(').next().unwrap_or(head).trim().to_owned();
    let public = assertions(prompt, &entry_point);
    (!public.is_empty()).then(|| Tests { entry_point, test: String::new(), public })
}

/// Examples of the form
///
/// ```text
/// >>> entry_point(arguments)
/// expected
/// ```
///
/// as assertions on `candidate`, in order. Anything other than a plain call with a value on one line is skipped.
pub(super) fn assertions(prompt: &str, entry_point: &str) -> Vec<String> {
    let lines: Vec<&str> = prompt.lines().map(str::trim).collect();
    let ends = |line: Option<&&str>| line.is_none_or(|line| line.is_empty() || is_mark(line));
    let example = |(index, line): (usize, &&str)| {
        let arguments = line.strip_prefix(">>>")?.trim().strip_prefix(entry_point)?;
        let expected = lines.get(index + 1).filter(|expected| !expected.is_empty() && !is_mark(expected))?;
        let is_call = arguments.starts_with('(') && arguments.ends_with(')');
        (is_call && ends(lines.get(index + 2))).then(|| format!("assert candidate{arguments} == {expected}"))
    };
    lines.iter().enumerate().filter_map(example).collect()
}

fn is_mark(line: &str) -> bool {
    [">>>", "...", "\"\"\"", "'''"].iter().any(|mark| line.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_examples_become_assertions() {
        let check = |docstring: &str, expected: &[&str]| {
            let prompt =
                format!("def near(numbers, limit):\n    \"\"\" Whether two are near.\n{docstring}\n    \"\"\"\n");
            assert_eq!(assertions(&prompt, "near"), expected, "{docstring}");
        };
        check("    >>> near([1.0, 2.0], 0.5)\n    False", &["assert candidate([1.0, 2.0], 0.5) == False"]);
        check(
            ">>> near([], 1)\nFalse\n>>> near([1, 1], 1)\nTrue",
            &["assert candidate([], 1) == False", "assert candidate([1, 1], 1) == True"],
        );
        check("    >>> near(\n    ... [1], 2)\n    False", &[]);
        check("    >>> nearest(3)\n    1", &[]);
        check("    >>> near([1], 2)\n    [[1],\n     [2]]", &[]);
        check("    near([1], 2) == False", &[]);
        check("    >>> near([1], 2)", &[]);
    }

    #[test]
    fn the_last_function_is_the_one_to_write() {
        let helper = "def helper(n):\n    \"\"\"\n    >>> helper(1)\n    2\n    \"\"\"\n    return n + 1\n\n\n";
        let prompt = format!("{helper}def twice (n: int) -> int:\n    \"\"\"\n    >>> twice(2)\n    4\n    \"\"\"\n");
        let found = tests(&prompt).map(|tests| (tests.entry_point, tests.public));
        assert_eq!(found, Some(("twice".to_owned(), vec!["assert candidate(2) == 4".to_owned()])));
        assert!(tests(&prompt.replace(">>>", "")).is_none() && tests("what is 3 and 5").is_none());
    }
}
