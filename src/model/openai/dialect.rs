//! Learns which parameters a model accepts from its server's refusals.

use std::borrow::Cow;

use super::fault::Fault;
use crate::model::Sampling;

/// What a server understands beyond what all do; learned from its refusals, for each model by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub stream: bool,
    /// Whether a stream may be asked to end with its usage.
    pub stream_options: bool,
    pub seed: bool,
    pub temperature: bool,
    pub top_p: bool,
    /// Without it the answer is cut here.
    pub stop: bool,
    /// Whether the limit is called `max_completion_tokens` rather than `max_tokens`.
    pub max_completion_tokens: bool,
}

/// How servers say that they do not take a parameter, or not in the way it was sent.
const REFUSALS: [&str; 38] = [
    "unsupported",
    "not support",
    "n't support",
    "only support",
    "not be support",
    "no longer support",
    "only the default",
    "recogni",
    "unknown",
    "not permitted",
    "not allowed",
    "is allowed for this model",
    "only 1 ",
    "disallow",
    "forbidden",
    "unexpected",
    "extra ",
    "extra_",
    "deprecated",
    "cannot both",
    "cannot be",
    "can't be",
    "may not be",
    "must not be",
    "must be omitted",
    "not implemented",
    "not available",
    "unavailable",
    "disabled",
    "not enabled",
    "not accept",
    "n't accept",
    "not valid",
    "not a valid",
    "no such parameter",
    "not configurable",
    "invalid parameter",
    "non-streaming",
];
/// What begins a part of a sentence that names the parameters to use instead.
const INSTEAD: [&str; 11] = [
    ", use ",
    "please use ",
    ", try ",
    "instead",
    "expected one of",
    "supported parameters",
    "supported arguments",
    "allowed parameters",
    "valid parameters",
    "must be one of",
    "did you mean",
];

impl Dialect {
    pub fn new(stream: bool) -> Self {
        Dialect {
            stream,
            stream_options: true,
            seed: true,
            temperature: true,
            top_p: true,
            stop: true,
            max_completion_tokens: false,
        }
    }

    /// The dialect without all that `fault` says is unknown; none if it complains of something else, or of what was not
    /// sent.
    pub fn without(self, fault: &Fault) -> Option<Dialect> {
        let refused = Refused::by(fault);
        // Of two that exclude each other one is enough.
        let excluded = fault.said.contains("both") && refused.has("top_p");
        let next = Dialect {
            stream: self.stream && !refused.has("stream") && !refused.has("streaming"),
            stream_options: self.stream_options && !refused.has("stream_options") && !refused.has("include_usage"),
            seed: self.seed && !refused.has("seed"),
            temperature: self.temperature && (excluded || !refused.has("temperature")),
            top_p: self.top_p && !refused.has("top_p"),
            stop: self.stop && !refused.has("stop"),
            max_completion_tokens: self.max_completion_tokens || refused.has("max_tokens") || wants_other_limit(fault),
        };
        (next != self).then_some(next)
    }

    /// What both understand.
    pub fn and(self, other: Dialect) -> Dialect {
        Dialect {
            stream: self.stream && other.stream,
            stream_options: self.stream_options && other.stream_options,
            seed: self.seed && other.seed,
            temperature: self.temperature && other.temperature,
            top_p: self.top_p && other.top_p,
            stop: self.stop && other.stop,
            max_completion_tokens: self.max_completion_tokens || other.max_completion_tokens,
        }
    }
}

impl Dialect {
    /// The parameters that decide what is drawn, of those that are sent.
    pub fn draws_by(self) -> Vec<&'static str> {
        let names = [(self.temperature, "temperature"), (self.top_p, "top_p")];
        names.into_iter().filter(|(is_sent, _)| *is_sent).map(|(_, name)| name).collect()
    }

    /// What identifies an answer in this dialect: the back end, and what the sampling says in vain.
    pub fn identity<'a>(self, id: &'a str, sampling: &Sampling) -> Cow<'a, str> {
        let sent = self.draws_by();
        let ignored = telling(sampling).into_iter().filter(|name| !sent.contains(name));
        without(id, &ignored.collect::<Vec<_>>())
    }

    /// What [`Dialect::identity`] is in any dialect.
    pub fn identities<'a>(id: &'a str, sampling: &Sampling) -> Vec<Cow<'a, str>> {
        let names = telling(sampling);
        let chosen = |choice: usize| {
            let is_chosen = |at: usize| choice >> at & 1 == 1;
            names.iter().enumerate().filter(|(at, _)| is_chosen(*at)).map(|(_, name)| *name).collect::<Vec<_>>()
        };
        (0..1 << names.len()).map(|choice| without(id, &chosen(choice))).collect()
    }
}

/// Whether the server asks for the limit under its newer name.
fn wants_other_limit(fault: &Fault) -> bool {
    let said = fault.said.to_lowercase();
    said.contains("max_completion_tokens") && ["use ", "instead", "rather"].iter().any(|word| said.contains(word))
}

/// The parameters without which an answer is drawn otherwise than the sampling says.
fn telling(sampling: &Sampling) -> Vec<&'static str> {
    let names = [(sampling.temperature != 1.0, "temperature"), (sampling.top_p < 1.0, "top_p")];
    names.into_iter().filter(|(counts, _)| *counts).map(|(_, name)| name).collect()
}

fn without<'a>(id: &'a str, names: &[&str]) -> Cow<'a, str> {
    if names.is_empty() { id.into() } else { format!("{id} without {}", names.join(", ")).into() }
}

/// The words that a refusal holds against the request.
struct Refused(Vec<String>);

impl Refused {
    fn by(fault: &Fault) -> Self {
        let said = fault.said.to_lowercase();
        let is_refusal = |text: &str| REFUSALS.iter().any(|refusal| text.contains(refusal));
        let is_coded = fault.codes.iter().any(|code| is_refusal(&code.to_lowercase().replace('_', " ")));
        let mut words = Vec::new();
        if is_coded || is_refusal(&said) {
            words.extend(fault.parameter.iter().map(|parameter| parameter.to_lowercase()));
        }
        for sentence in said.split(['\n', ';']).flat_map(|line| line.split(". ")) {
            let end = INSTEAD.iter().filter_map(|instead| sentence.find(instead)).min().unwrap_or(sentence.len());
            // Where the code is all that tells a refusal, what the sentence names is what is refused.
            let is_meant = is_refusal(sentence) || is_coded && !is_refusal(&said) && fault.parameter.is_none();
            if is_meant {
                let names = sentence[..end].split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
                words.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
            }
        }
        Refused(words)
    }

    fn has(&self, parameter: &str) -> bool {
        self.0.iter().any(|word| word == parameter)
    }
}

#[cfg(test)]
mod tests {
    use super::super::redact::Key;
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: impl FnOnce(Dialect) -> Dialect) {
        let fault = Fault::read(&serde_json::json!({ "error": { "message": said } }).to_string(), &Key::default());
        let all = Dialect::new(true);
        assert_eq!(all.without(&fault).unwrap_or(all), expected(all), "{said}");
    }

    #[test]
    fn a_dialect_loses_what_the_server_does_not_know() {
        check(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            |all| Dialect { max_completion_tokens: true, ..all },
        );
        check("Unrecognized request argument supplied: seed", |all| Dialect { seed: false, ..all });
        check("extra inputs: stream_options", |all| Dialect { stream_options: false, ..all });
        check(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            |all| Dialect { temperature: false, ..all },
        );
        check("temperature: only the default value is supported", |all| Dialect { temperature: false, ..all });
        check("`temperature` is deprecated for this model.", |all| Dialect { temperature: false, ..all });
        check("`temperature` and `top_p` cannot both be specified for this model.", |all| Dialect {
            top_p: false,
            ..all
        });
        check("stream is not supported", |all| Dialect { stream: false, ..all });
        check("Streaming is not available for this model", |all| Dialect { stream: false, ..all });
        check("'stop' is not supported with this model", |all| Dialect { stop: false, ..all });
        check("Please use `max_completion_tokens`", |all| Dialect { max_completion_tokens: true, ..all });
        check("invalid temperature: only 1 is allowed for this model", |all| Dialect { temperature: false, ..all });
        check("only non-streaming requests", |all| Dialect { stream: false, ..all });
    }

    #[test]
    fn all_that_is_named_is_left_out_at_once() {
        let three = |all| Dialect { seed: false, stream_options: false, top_p: false, ..all };
        check("Unrecognized request arguments supplied: seed, stream_options, top_p", three);
        check("seed, stream_options and top_p are not supported. Supported parameters: temperature, stop", three);
        check("unknown fields `seed`, `stream_options`, `top_p`, expected one of `temperature`, `max_tokens`", three);
        check(
            r#"[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":7},
               {"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"},
               {"type":"extra_forbidden","loc":["body","top_p"],"msg":"Extra inputs are not permitted"}]"#,
            three,
        );
    }

    #[test]
    fn other_complaints_change_nothing() {
        for said in [
            "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
            "max_completion_tokens is not supported",
            "temperature must be between 0 and 2",
            "logprobs is not supported",
            "no such model",
        ] {
            check(said, |all| all);
        }
        let plain = Dialect { seed: false, ..Dialect::new(false) };
        assert_eq!(plain.without(&Fault::new("seed and stream are not supported", &Key::default())), None);
    }

    #[test]
    fn codes_and_parameters_tell_as_much_as_words() {
        let refused = |said: &str, code: &str, parameter: Option<&str>| {
            let fault = Fault::new(said, &Key::default());
            let fault = Fault { codes: vec![code.into()], parameter: parameter.map(str::to_owned), ..fault };
            Dialect::new(true).without(&fault)
        };
        let none = |all| Dialect { temperature: false, ..all };
        assert_eq!(refused("no", "unsupported_value", Some("temperature")), Some(none(Dialect::new(true))));
        assert_eq!(refused("temperature: no", "unknown_parameter", None), Some(none(Dialect::new(true))));
        assert_eq!(refused("too high", "invalid_value", Some("temperature")), None);
    }

    #[test]
    fn an_answer_is_identified_by_what_was_left_out() {
        let check = |temperature: f32, top_p: f32, all: &[&str], last: &str| {
            let sampling = Sampling { temperature, top_p, max_tokens: 9, stop: Vec::new() };
            let plain = Dialect { temperature: false, top_p: false, ..Dialect::new(true) };
            assert_eq!(Dialect::identities("m", &sampling), all);
            assert_eq!(Dialect::new(true).identity("m", &sampling), "m");
            assert_eq!(plain.identity("m", &sampling), last);
        };
        check(1.0, 1.0, &["m"], "m");
        check(0.0, 1.0, &["m", "m without temperature"], "m without temperature");
        let all = ["m", "m without temperature", "m without top_p", "m without temperature, top_p"];
        check(0.7, 0.9, &all, all[3]);
    }
}
