//! Errors of the Hugging Face hub: it refused a file, or could not be reached.

use hf_hub::api::sync::ApiError;

/// A file that the hub did not give.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct HubError {
    #[from]
    source: ApiError,
}

impl HubError {
    /// Whether the hub answered that there is no such file, or none for this user.
    pub fn is_refusal(&self) -> bool {
        is_refusal(&self.source)
    }
}

fn is_refusal(error: &ApiError) -> bool {
    match error {
        ApiError::RequestError(error) => is_final(&error.to_string()),
        ApiError::TooManyRetries(error) => is_refusal(error),
        _ => false,
    }
}

/// Whether the text of a network error tells of a status that stays. The client's own types are not within reach.
fn is_final(text: &str) -> bool {
    let status = text.rsplit_once("status: ").and_then(|(_, status)| status.trim().parse::<u16>().ok());
    status.is_some_and(|status| (400..500).contains(&status) && !matches!(status, 408 | 429))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_refuses_is_told_from_what_may_pass() {
        let check = |text: &str, expected: bool| assert_eq!(is_final(text), expected, "{text}");
        check("http status: 404", true);
        check("http status: 401", true);
        check("http status: 429", false);
        check("http status: 503", false);
        check("io: Connection refused", false);
        check("", false);
    }
}
