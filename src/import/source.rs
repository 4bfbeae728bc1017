//! The common form into which files of all formats are read.

/// One output, with everything that its log says about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// File and line, for errors.
    pub place: String,
    /// Id of the problem.
    pub id: String,
    pub question: Option<String>,
    pub reference: Option<String>,
    /// The kind of problem.
    pub kind: Option<String>,
    pub split: Option<String>,
    /// Which of its operator's independent outputs it is, if there are several.
    pub number: Option<u64>,
    pub output: Option<String>,
    /// The final answer, if the log extracted it from the output.
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
    /// The operator's name, if given.
    pub operator: Option<String>,
    /// What distinguishes settings, the most informative part first. Names are made from these parts.
    pub parts: Vec<String>,
    /// The task that the problems belong to.
    pub task: Option<String>,
    /// The model whose price applies.
    pub model: Option<String>,
    /// What the controller may know of the setting.
    pub description: String,
    /// The path of the file, whatever its samples.
    pub path: String,
    pub samples: Vec<Sample>,
}

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sources {
    pub sources: Vec<Source>,
    /// What the user should be told, one line each.
    pub notes: Vec<String>,
}

/// The beginning of a log's text, on one line, for an error.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// The first of `items`, one on each line, and the number of the others.
pub(super) fn listed(items: &[String]) -> String {
    const MOST: usize = 20;
    let shown: Vec<&str> = items.iter().take(MOST).map(String::as_str).collect();
    let rest = items.len().saturating_sub(MOST);
    let rest = if rest > 0 { format!("\n  ... and {rest} more") } else { String::new() };
    format!("\n  {}{rest}", shown.join("\n  "))
}
