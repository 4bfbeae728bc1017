//! A query before anything has run.

/// What is known of a query before it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub question: &'a str,
    /// `[E]`
    pub embedding: &'a [f32],
}

impl Asked<'_> {
    /// Number of words, which needs no tokenizer.
    pub fn words(self) -> f64 {
        self.question.split_whitespace().count() as f64
    }
}
