//! The examples of a docstring, for problems whose public tests were not published with them.

/// Examples of the form
///
/// ```text
/// >>> entry_point(arguments)
/// expected
/// ```
///
/// as assertions on `candidate`, in their order. What is no plain call with a value on one line is passed over.
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
    use super::assertions;

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
}
