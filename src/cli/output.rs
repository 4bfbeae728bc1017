//! How errors look and which exit code they give.

use anyhow::Error;

use crate::printable::printable;

/// The causes of an error on one line, outermost first. Backtraces that libraries put into their texts are cut off, and
/// what files and programs put in for the terminal is written out.
pub fn message(error: &Error) -> String {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = text.split("\n   0:").next().unwrap_or_default().trim().to_owned();
        // Some libraries repeat their cause inside their own text.
        if causes.last().is_none_or(|last| !last.contains(&text)) {
            causes.push(text);
        }
    }
    printable(&causes.join(": ")).into_owned()
}

/// 1 when the input or the settings are at fault, 2 for a fault inside.
pub fn exit_code(error: &Error) -> u8 {
    let internal = error.chain().any(|cause| cause.is::<candle_core::Error>() || cause.is::<tokio::task::JoinError>());
    if internal { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_without_repetitions_or_backtraces() {
        let cut =
            Error::msg("shape mismatch\n   0: candle_core::error::Error::bt").context("cannot load `a.safetensors`");
        assert_eq!(message(&cut), "cannot load `a.safetensors`: shape mismatch");
        let repeated = Error::msg("no such file").context("reading failed: no such file");
        assert_eq!(message(&repeated), "reading failed: no such file");
        assert_eq!(message(&Error::msg("found `\u{1b}[2J`")), "found `\\u{1b}[2J`");
        assert_eq!(exit_code(&repeated), 1);
        assert_eq!(exit_code(&Error::new(candle_core::Error::Msg("x".into()))), 2);
    }
}
