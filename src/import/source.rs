//! The common form that files of all formats are read into.

/// What one output is, as far as its log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// File and line, for errors.
    pub place: String,
    /// Of the problem.
    pub id: String,
    pub question: Option<String>,
    pub reference: Option<String>,
    /// The kind of problem.
    pub kind: Option<String>,
    pub split: Option<String>,
    /// Which of the independent outputs of its operator it is, where there are several.
    pub number: Option<u64>,
    pub output: Option<String>,
    /// The final answer, where the log has read it from the output.
    pub answer: Option<String>,
    /// From 0 to 1.
    pub score: Option<f64>,
    /// Model calls made.
    pub calls: u32,
    /// Bytes of the prompt.
    pub prompt_bytes: Option<usize>,
    pub prompt_tokens: Option<u64>,
    /// Tokens written.
    pub tokens: Option<u64>,
    pub seconds: Option<f64>,
    /// Dollars.
    pub cost: Option<f64>,
}

/// The samples of one file and one setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Source {
    /// The operator's name, where that is given.
    pub operator: Option<String>,
    /// What tells settings apart, the most telling part first: names are made of it.
    pub parts: Vec<String>,
    /// The task that the problems belong to.
    pub task: Option<String>,
    /// Whose price holds.
    pub model: Option<String>,
    /// What the controller may know of the setting.
    pub description: String,
    /// What the file is, whatever its samples.
    pub path: String,
    pub samples: Vec<Sample>,
}

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sources {
    pub sources: Vec<Source>,
    /// What the user should hear, one line each.
    pub notes: Vec<String>,
}

/// Text of a log in an error: its beginning, on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The first of `items`, one a line, and how many there are beside them.
pub(super) fn listed(items: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = items.iter().take(MOST).map(String::as_str).collect();
    let rest = items.len().saturating_sub(MOST);
    let rest = if rest > 0 { format!("\n  ... and {rest} more") } else { String::new() };
    format!("\n  {}{rest}", shown.join("\n  "))
}
