//! Traces: recorded outputs of operators, which let plans run without a model.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::trace_line::TraceLine;
use super::{Catalogue, Solution};
use crate::plan::{Signature, Usage};
use crate::task::AnswerForm;

/// A recorded output, as plans use it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    /// What it read, if that is known.
    pub read: Option<u128>,
    pub solution: Option<Solution>,
    pub calls: u32,
    pub usage: Usage,
    pub tool_seconds: f64,
    pub seconds: f64,
    pub cost: f64,
    /// The line that it comes from.
    line: usize,
}

/// What lines say about an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Worth {
    /// Sum over all lines that score it.
    sum: f64,
    lines: u32,
    /// The verdict of the first line that calls it right or wrong, with the number of that line.
    said: Option<(bool, usize)>,
}

/// The outputs recorded for one query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryTraces {
    /// By operator, in order of their sample numbers.
    outputs: BTreeMap<String, BTreeMap<u64, Output>>,
    /// For answers with a known score.
    verdicts: BTreeMap<String, Worth>,
    /// Line of the first output.
    line: usize,
}

/// A file of recorded outputs, for the operators of one catalogue.
#[derive(Clone, Debug)]
pub struct Traces {
    queries: BTreeMap<String, QueryTraces>,
    origin: String,
    /// The number of outputs.
    outputs: usize,
    /// For each field, the number of outputs in which it is estimated.
    estimated: BTreeMap<String, usize>,
}

impl Traces {
    /// Reads a file of [`TraceLine`] lines. A query need not have outputs of every operator.
    ///
    /// # Errors
    /// Names the file and the faulty line: not a valid record, an operator that is not in the catalogue, or a sample or a
    /// verdict that contradicts an earlier line. Or an operator of the catalogue has no output at all.
    pub fn load(path: &Path, catalogue: &Catalogue, form: AnswerForm) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text, &path.display().to_string(), catalogue, form)
    }

    /// Like [`Traces::load`], but reads the text of a file; `origin` names it in errors.
    ///
    /// # Errors
    /// Those of [`Traces::load`].
    pub fn parse(text: &str, origin: &str, catalogue: &Catalogue, form: AnswerForm) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let recorded = |(number, line)| {
            let recorded = serde_json::from_str(line)
                .map_err(|error| anyhow!("expected a recorded output of an operator: {error}"))
                .with_context(|| format!("{origin}:{number}"))?;
            Ok((number, recorded))
        };
        Self::collect(lines.map(recorded), origin, catalogue, form)
    }

    /// Like [`Traces::load`], but takes outputs with their line numbers.
    ///
    /// # Errors
    /// Those of [`Traces::load`], and those of the outputs.
    pub fn collect(
        outputs: impl Iterator<Item = Result<(usize, TraceLine)>>,
        origin: &str,
        catalogue: &Catalogue,
        form: AnswerForm,
    ) -> Result<Self> {
        let mut queries: BTreeMap<String, QueryTraces> = BTreeMap::new();
        let mut estimated: BTreeMap<String, usize> = BTreeMap::new();
        let mut count = 0;
        for output in outputs {
            let (number, recorded) = output?;
            count += 1;
            recorded.estimated.iter().for_each(|field| *estimated.entry(field.clone()).or_default() += 1);
            let place = || format!("{origin}:{number}");
            let signature = catalogue.signature(catalogue.find(&recorded.operator).with_context(place)?);
            let query = queries.entry(recorded.query.clone());
            let query = query.or_insert_with(|| QueryTraces { line: number, ..QueryTraces::default() });
            query.add(recorded, signature, form, number).with_context(place)?;
        }
        ensure!(!queries.is_empty(), "{origin}: expected at least one recorded output, found none");
        let traces = Traces { queries, origin: origin.to_owned(), outputs: count, estimated };
        traces.check_operators(catalogue)?;
        Ok(traces)
    }

    /// The outputs recorded for a query.
    pub fn query(&self, id: &str) -> Option<&QueryTraces> {
        self.queries.get(id)
    }

    /// Names of the operators that read solutions. If none of their outputs was recorded for what is on the board, any
    /// of them is used.
    pub fn approximate<'a>(&self, catalogue: &'a Catalogue) -> Vec<&'a str> {
        let identified = catalogue.operators().iter().zip(catalogue.identities(""));
        let readers = identified.filter(|(_, identity)| !identity.reads_nothing());
        let is_there = |name: &&str| self.queries.values().any(|query| query.outputs.contains_key(*name));
        readers.map(|(operator, _)| operator.name.as_str()).filter(is_there).collect()
    }

    /// The name of the file that was read.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A remark on what is estimated in the outputs, if anything.
    pub fn estimates(&self) -> Option<String> {
        let of = |(field, count): (&String, &usize)| format!("{field} of {count}");
        let fields: Vec<String> = self.estimated.iter().map(of).collect();
        let Traces { origin, outputs, .. } = self;
        (!fields.is_empty())
            .then(|| format!("`{origin}`: of {outputs} outputs, these values are estimated: {}", fields.join(", ")))
    }

    /// Checks that lines score every answer to a query that has no reference.
    ///
    /// # Errors
    /// Names the file and the first line that does not.
    pub fn check_scored(&self, has_reference: impl Fn(&str) -> bool) -> Result<()> {
        let unscored = |query: &&QueryTraces| {
            let outputs = query.outputs.values().flat_map(BTreeMap::values);
            let lines = outputs.filter(|output| query.is_unscored(output)).map(|output| output.line);
            lines.min()
        };
        let of_query = self.queries.iter().filter(|(id, _)| !has_reference(id));
        match of_query.filter_map(|(id, query)| Some((unscored(&query)?, id))).min() {
            Some((line, id)) => bail!(
                "{}:{line}: expected `score` or `correct`, since problem `{id}` has no reference answer, found neither",
                self.origin
            ),
            None => Ok(()),
        }
    }

    /// Checks that `is_known` holds for every query.
    ///
    /// # Errors
    /// Names the file and the line of the first unknown query.
    pub fn check_queries(&self, is_known: impl Fn(&str) -> bool) -> Result<()> {
        let unknown = self.queries.iter().filter(|(id, _)| !is_known(id)).min_by_key(|(_, query)| query.line);
        match unknown {
            Some((id, QueryTraces { line, .. })) => bail!(
                "{}:{line}: expected the id of a problem, found `{id}`, which is in no split of the benchmark",
                self.origin
            ),
            None => Ok(()),
        }
    }

    /// The number of queries that lack outputs of an operator, for each operator at work, with its name; and the number
    /// of queries.
    pub fn gaps<'a>(&self, catalogue: &'a Catalogue) -> (Vec<(&'a str, usize)>, usize) {
        let lacking = |name: &str| self.queries.values().filter(|query| !query.outputs.contains_key(name)).count();
        (at_work(catalogue).map(|name| (name, lacking(name))).collect(), self.queries.len())
    }

    /// Whether outputs of every operator at work are recorded for a query.
    pub fn is_complete(&self, id: &str, catalogue: &Catalogue) -> bool {
        let complete = |query: &QueryTraces| at_work(catalogue).all(|name| query.outputs.contains_key(name));
        self.query(id).is_some_and(complete)
    }

    fn check_operators(&self, catalogue: &Catalogue) -> Result<()> {
        let (gaps, queries) = self.gaps(catalogue);
        match gaps.iter().find(|(_, lacking)| *lacking == queries) {
            Some((name, _)) => bail!(
                "{}: expected outputs of every operator, found none of `{name}`; hint: take it out of the catalogue",
                self.origin
            ),
            None => Ok(()),
        }
    }
}

/// The names of the operators whose outputs plans use.
fn at_work(catalogue: &Catalogue) -> impl Iterator<Item = &str> {
    let signed = catalogue.operators().iter().zip(catalogue.signatures());
    signed.filter(|(_, signature)| signature.is_at_work()).map(|(operator, _)| operator.name.as_str())
}

impl QueryTraces {
    fn add(&mut self, recorded: TraceLine, signature: Option<Signature>, form: AnswerForm, line: usize) -> Result<()> {
        let score = recorded.score()?;
        let said = recorded.correct.filter(|_| recorded.score.is_none());
        let TraceLine {
            sample,
            output,
            answer,
            executed,
            reads,
            calls,
            prompt_tokens,
            tokens,
            tool_seconds,
            seconds,
            cost,
            ..
        } = recorded;
        let read = reads.filter(|reads| reads != "any");
        let digest = |text: &String| u128::from_str_radix(text, 16);
        let read =
            read.as_ref().map(digest).transpose().context("expected `reads` to be `any` or hexadecimal digits")?;
        for (name, value) in [("tool_seconds", tool_seconds), ("seconds", seconds), ("cost", cost)] {
            ensure!(value.is_finite() && value >= 0.0, "expected `{name}` from 0 up, found {value}");
        }
        let is_program = signature.is_some_and(|it| it.executes && it.opens());
        let executed = executed.unwrap_or(is_program);
        // Marks and context are not answers.
        let answers = signature.is_none_or(|it| it.solutions > 0 || it.replaces);
        let solution = output.map(|text| {
            let whole = || score.map(|_| text.trim().to_owned());
            let answer = answer.map(|answer| self.spelled(form, answer, said));
            let answer = answer.or_else(|| form.extract(&text)).or_else(whole).filter(|_| answers);
            Solution { text, answer, executed, ..Solution::default() }
        });
        let answered = solution.as_ref().and_then(|solution| solution.answer.as_ref());
        if let (Some(score), Some(answer)) = (score, answered) {
            let verdict = self.verdicts.entry(answer.clone()).or_insert(Worth { sum: 0.0, lines: 0, said: None });
            if let (Some((earlier, first)), Some(correct)) = (verdict.said, said) {
                ensure!(
                    earlier == correct,
                    "answer `{answer}` is {correct} here and {earlier} in line {first}; hint: a `score` in place of \
                     `correct` may differ, and the mean counts"
                );
            }
            verdict.sum += score;
            verdict.lines += 1;
            verdict.said = verdict.said.or(said.map(|correct| (correct, line)));
        }
        let usage = Usage { prompt_tokens, completion_tokens: tokens, ..Usage::default() };
        let output = Output { read, solution, calls, usage, tool_seconds, seconds, cost, line };
        let samples = self.outputs.entry(recorded.operator).or_default();
        let next = || samples.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        let sample = sample.unwrap_or_else(next);
        ensure!(samples.insert(sample, output).is_none(), "expected a unique sample, found number {sample} again");
        Ok(())
    }

    /// A recorded answer in its canonical spelling, which makes equal answers count together in votes. If lines have
    /// judged that spelling differently, the answer stays as it was recorded.
    fn spelled(&self, form: AnswerForm, answer: String, correct: Option<bool>) -> String {
        let spelled = form.spelled(&answer);
        let known = self.verdicts.get(&spelled).and_then(|verdict| verdict.said).map(|(correct, _)| correct);
        if known.zip(correct).is_some_and(|(known, correct)| known != correct) { answer } else { spelled }
    }

    /// The outputs of an operator, in order of their sample numbers.
    pub(super) fn outputs(&self, operator: &str) -> Vec<&Output> {
        self.outputs.get(operator).into_iter().flat_map(BTreeMap::values).collect()
    }

    /// The score of an answer, from 0 to 1: the mean over the lines that give one.
    pub fn score(&self, answer: &str) -> Option<f64> {
        self.verdicts.get(answer).map(|verdict| verdict.sum / f64::from(verdict.lines))
    }

    fn is_unscored(&self, output: &Output) -> bool {
        let answer = output.solution.as_ref().and_then(|solution| solution.answer.as_ref());
        // Without an answer there is nothing to score.
        answer.is_some_and(|answer| !self.verdicts.contains_key(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ARITHMETIC;

    const OPERATORS: [&str; 6] = ["Generate", "GenerateCoT", "MultiGenerateCoT", "Programmer", "Test", "SelfRefine"];

    fn line(operator: &str, fields: &str) -> String {
        format!(r#"{{"query": "q", "operator": "{operator}", "output": "it is 8", "tokens": 3, {fields}}}"#)
    }

    fn sound() -> Vec<String> {
        OPERATORS.map(|name| line(name, r#""sample": 0, "seconds": 0.1, "cost": 1e-4"#)).into()
    }

    fn parse(lines: &[String]) -> Result<Traces> {
        let catalogue = Catalogue::load(&ARITHMETIC, "catalogue.toml")?;
        Traces::parse(&lines.join("\n"), "t.jsonl", &catalogue, AnswerForm::Integer)
    }

    /// Expects that valid lines are refused when `added` follows them, from line 7 on.
    #[track_caller]
    fn check(added: String, expected: &str) {
        let lines = [sound(), vec![added]].concat();
        let found = parse(&lines).map_or_else(|error| format!("{error:#}"), |traces| format!("{traces:?}"));
        assert!(found.starts_with("t.jsonl:7: ") && found.contains(expected), "{found}");
    }

    #[test]
    fn mistakes_name_file_and_line() {
        assert!(parse(&sound()).is_ok());
        check("{".into(), "expected a recorded output of an operator");
        check(line("Generate", r#""sample": 1, "cost": 1"#), "missing field `seconds`");
        check(line("Generate", r#""score": 1.5, "seconds": 1"#), "expected `score` from 0 to 1, found 1.5");
        check(line("Nobody", r#""sample": 1, "seconds": 1, "cost": 0"#), "EarlyStop), found `Nobody`");
        check(line("Generate", r#""sample": 0, "seconds": 1, "cost": 0"#), "found number 0 again");
        check(line("Generate", r#""sample": 1, "seconds": -1, "cost": 0"#), "expected `seconds` from 0 up, found -1");
        let none = parse(&sound()[1..]).map_or_else(|error| error.to_string(), |traces| format!("{traces:?}"));
        assert!(none.starts_with("t.jsonl: expected outputs of every operator, found none of `Generate`"), "{none}");
        assert!(parse(&[]).is_err_and(|error| error.to_string().contains("at least one recorded output")));
        let unknown = parse(&sound()).and_then(|traces| traces.check_queries(|id| id == "p"));
        assert!(unknown.is_err_and(|error| error.to_string().starts_with("t.jsonl:1: ")));
    }

    #[test]
    fn answers_are_read_and_verdicts_agree() -> Result<()> {
        let with = |sample: u64, output: &str, verdict: &str| {
            let fields = format!(r#""sample": {sample}, "seconds": 0, "cost": 0{verdict}"#);
            line("Generate", &fields).replace("it is 8", output)
        };
        let added = [
            with(1, "9 or so", r#", "correct": false"#),
            with(2, "no number", r#", "correct": true"#),
            with(3, "no number", ""),
            with(4, "9", r#", "answer": "10""#),
        ];
        let traces = parse(&[sound(), added.into()].concat())?;
        let query = traces.query("q").context("the query")?;
        let answers: Vec<_> =
            query.outputs("Generate").iter().map(|output| output.solution.clone().and_then(|it| it.answer)).collect();
        assert_eq!(answers, [Some("8"), Some("9"), Some("no number"), None, Some("10")].map(|it| it.map(String::from)));
        assert_eq!(["8", "9", "no number"].map(|answer| query.score(answer)), [None, Some(0.0), Some(1.0)]);
        let contradiction =
            [sound(), vec![with(1, "8", r#", "correct": true"#), with(2, "8", r#", "correct": false"#)]];
        let error = parse(&contradiction.concat()).map_or_else(|error| format!("{error:#}"), |_| String::new());
        assert!(error.starts_with("t.jsonl:8: answer `8` is false here and true in line 7; hint: "), "{error}");
        Ok(())
    }

    #[test]
    fn scores_of_an_answer_count_by_their_mean_and_samples_number_themselves() -> Result<()> {
        let with = |verdict: &str| line("Generate", &format!(r#""seconds": 0, {verdict}"#));
        let scored = [r#""score": 0.5"#, r#""score": 1"#, r#""correct": 0"#].map(with);
        let traces = parse(&[sound(), scored.into()].concat())?;
        let query = traces.query("q").context("the query")?;
        assert_eq!((query.outputs("Generate").len(), query.score("8")), (4, Some(0.5)));
        traces.check_scored(|_| false)?;
        assert_eq!(traces.estimates(), None);
        let unscored = parse(&[sound(), vec![with(r#""estimated": ["seconds", "cost"]"#)]].concat())?;
        let error = unscored.check_scored(|_| false).map_err(|error| error.to_string());
        assert!(
            error.is_err_and(|error| error.starts_with("t.jsonl:1: expected `score` or `correct`, since problem `q`"))
        );
        unscored.check_scored(|id| id == "q")?;
        let expected = "`t.jsonl`: of 7 outputs, these values are estimated: cost of 1, seconds of 1";
        assert_eq!(unscored.estimates().as_deref(), Some(expected));
        Ok(())
    }

    #[test]
    fn marks_and_context_are_no_answers() -> Result<()> {
        let of = |name: &str, kind: &str| {
            format!("[[operator]]\nname = \"{name}\"\nkind = \"{kind}\"\ndescription = \"Acts.\"\n")
        };
        let text = [of("A", "generate"), of("J", "judge"), of("C", "command")].concat();
        let catalogue = Catalogue::parse(format!("{text}command = [\"x\"]\ngives = \"context\""), "c")?;
        let lines =
            [line("A", r#""seconds": 0, "correct": 1"#), line("J", r#""seconds": 0"#), line("C", r#""seconds": 0"#)];
        let traces = Traces::parse(&lines.join("\n"), "t.jsonl", &catalogue, AnswerForm::Integer)?;
        traces.check_scored(|_| false)?;
        let query = traces.query("q").context("the query")?;
        let answer = |name: &str| query.outputs(name)[0].solution.clone().and_then(|solution| solution.answer);
        assert_eq!(["A", "J", "C"].map(answer), [Some("8".to_owned()), None, None]);
        Ok(())
    }
}
