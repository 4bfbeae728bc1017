//! Merges records: of several machines, of shards, or one with itself, which sorts its lines.

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::key::Key;
use super::line::{Graded, Line};
use super::scan::{Entry, Found, read};
use crate::checkpoint::write_atomic_by;

/// The result of a merge.
#[derive(Debug)]
pub struct Merged {
    /// Lines of calls, one for each key.
    pub calls: usize,
    /// Calls that were found in more than one place.
    pub repeated: usize,
    /// Lines that were left out, with the reasons.
    pub remarks: Vec<String>,
}

/// The position of a line.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    offset: u64,
    length: usize,
    number: usize,
}

/// The lines of one call.
struct Standing {
    /// The key by which lines are sorted.
    order: String,
    /// The line whose measured fields are kept.
    first: Place,
    /// The line with the most solutions.
    longest: Place,
    solutions: usize,
}

/// Merges the records in `files` into `out`, which may be one of them. Anything that is not a complete line of a record
/// is left out. If a call occurs in several places, the measured fields of the first are kept.
///
/// # Errors
/// A file cannot be read or written, or lines of one call contradict each other; all contradictions are reported at
/// once.
pub fn merge(files: &[PathBuf], out: &Path) -> Result<Merged> {
    let mut join = Join { files, ..Join::default() };
    for path in files {
        join.open.push(File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    for (file, path) in files.iter().enumerate() {
        read(path, |found| join.take(file, &found))?;
    }
    if !join.contradictions.is_empty() {
        let many = join.contradictions.len();
        bail!("expected records that agree, found {many} contradictions:\n{}", join.contradictions.join("\n"));
    }
    let Join { mut open, scores, .. } = join;
    let mut standing: Vec<Standing> = join.standing.into_values().collect();
    standing.sort_unstable_by(|one, other| one.order.cmp(&other.order));
    write_atomic_by(out, |writer| {
        for Standing { first, longest, .. } in &standing {
            let mut line = line_at(&mut open, *longest)?;
            if (first.file, first.offset) != (longest.file, longest.offset) {
                line.measured_by(&line_at(&mut open, *first)?);
            }
            serde_json::to_writer(&mut *writer, &line)?;
            writer.write_all(b"\n")?;
        }
        for (graded, _) in scores.values() {
            serde_json::to_writer(&mut *writer, graded)?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(Merged { calls: standing.len(), repeated: join.repeated, remarks: join.remarks })
}

#[derive(Default)]
struct Join<'a> {
    files: &'a [PathBuf],
    open: Vec<File>,
    standing: HashMap<Key, Standing>,
    /// By problem, answer and what it was judged against.
    scores: BTreeMap<(String, String, Key), (Graded, String)>,
    repeated: usize,
    remarks: Vec<String>,
    contradictions: Vec<String>,
}

impl Join<'_> {
    fn take(&mut self, file: usize, found: &Found<'_>) -> Result<()> {
        let place = Place { file, offset: found.offset, length: found.bytes.len(), number: found.number };
        match Entry::of(found) {
            Ok(Entry::Call(line)) => self.take_call(place, &line)?,
            Ok(Entry::Score(graded)) => self.take_score(graded, self.shown(place)),
            Err(fault) => self.remarks.push(format!("{}: {fault:#}; it is left out", self.shown(place))),
        }
        Ok(())
    }

    fn shown(&self, place: Place) -> String {
        format!("`{}` line {}", self.files[place.file].display(), place.number)
    }

    fn take_call(&mut self, place: Place, line: &Line) -> Result<()> {
        let Some(standing) = self.standing.get_mut(&line.key) else {
            let Line { key, problem, operator, draw, turn, .. } = line;
            let order = format!("{problem}\0{operator}\0{draw}\0{turn}\0{key}");
            let solutions = line.solutions.len();
            self.standing.insert(*key, Standing { order, first: place, longest: place, solutions });
            return Ok(());
        };
        self.repeated += 1;
        let longest = standing.longest;
        let is_longer = line.solutions.len() > standing.solutions;
        if is_longer {
            (standing.longest, standing.solutions) = (place, line.solutions.len());
        }
        let earlier =
            line_at(&mut self.open, longest).with_context(|| format!("cannot read {}", self.shown(longest)))?;
        if let Some(what) = earlier.contradicts(line) {
            self.contradictions.push(format!(
                "{} and {}: different {what} for operator `{}`, problem `{}`, key {}",
                self.shown(longest),
                self.shown(place),
                line.operator,
                line.problem,
                line.key
            ));
        }
        // Only one of two lines is written. All that the other may add is a score.
        let (kept, left, at) = if is_longer { (line, &earlier, longest) } else { (&earlier, line, place) };
        if kept.reference != left.reference {
            self.take_scores_of(left, self.shown(at));
        }
        Ok(())
    }

    fn take_scores_of(&mut self, line: &Line, place: String) {
        let Some(reference) = line.reference else { return };
        for given in &line.solutions {
            if let (Some(answer), Some(score)) = (given.answer.clone(), given.score) {
                let problem = line.problem.clone();
                self.take_score(Graded { problem, reference, answer, score }, place.clone());
            }
        }
    }

    fn take_score(&mut self, graded: Graded, place: String) {
        match self.scores.entry((graded.problem.clone(), graded.answer.clone(), graded.reference)) {
            Slot::Vacant(vacant) => {
                vacant.insert((graded, place));
            }
            Slot::Occupied(standing) => {
                let (first, earlier) = standing.get();
                if first.score != graded.score {
                    let (problem, answer) = (&graded.problem, &graded.answer);
                    let text =
                        format!("{earlier} and {place}: different score for answer `{answer}`, problem `{problem}`");
                    self.contradictions.push(text);
                }
            }
        }
    }
}

fn line_at(files: &mut [File], Place { file, offset, length, .. }: Place) -> io::Result<Line> {
    let mut bytes = vec![0; length];
    files[file].seek(SeekFrom::Start(offset))?;
    files[file].read_exact(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::store::tests::line;
    use super::*;

    /// Merges records with these lines. Returns what was written and what was remarked.
    fn merged(files: &[Vec<String>]) -> Result<(Vec<String>, Vec<String>)> {
        let folder = tempfile::tempdir()?;
        let mut paths = Vec::new();
        for (number, lines) in files.iter().enumerate() {
            paths.push(folder.path().join(format!("{number}.jsonl")));
            fs::write(&paths[number], lines.join("\n") + "\n")?;
        }
        let out = folder.path().join("out.jsonl");
        let remarks = merge(&paths, &out)?.remarks;
        Ok((fs::read_to_string(&out)?.lines().map(str::to_owned).collect(), remarks))
    }

    fn text(line: &Line) -> String {
        serde_json::to_string(line).unwrap_or_default()
    }

    fn slower(line: &Line) -> Line {
        let mut line = line.clone();
        line.calls.iter_mut().for_each(|call| call.seconds *= 2.0);
        line.solutions.iter_mut().for_each(|given| given.seconds *= 2.0);
        line
    }

    #[test]
    fn lines_come_in_one_order_and_the_first_measured() -> Result<()> {
        let (one, two) = (line(1, &["it is 8"]), line(2, &["it is 9", "it is 8"]));
        let short = line(2, &["it is 9"]);
        let first = vec![text(&slower(&short)), text(&one)];
        let second = vec![text(&slower(&one)), text(&two)];
        let (lines, remarks) = merged(&[first.clone(), second])?;
        let mut expected = two.clone();
        expected.measured_by(&slower(&short));
        assert_eq!((lines.clone(), remarks.len()), (vec![text(&one), text(&expected)], 0));
        assert_eq!(merged(&[lines.clone(), first])?.0, lines);
        Ok(())
    }

    #[test]
    fn contradictions_are_told_all_at_once() {
        let other = |change: fn(&mut Line)| {
            let mut line = line(1, &["it is 8"]);
            change(&mut line);
            text(&line)
        };
        let differing = [
            other(|line| line.solutions[0].text.push('!')),
            other(|line| line.calls[0].usage.completion_tokens += 1),
            other(|line| line.solutions[0].tokens += 1),
            other(|line| line.solutions[0].score = Some(0.0)),
        ];
        let agreeing = [
            other(|line| line.calls[0].seconds = 9.0),
            other(|line| line.operator = "Renamed".into()),
            other(|line| (line.reference, line.solutions[0].score) = (Some(Key(6)), Some(0.0))),
        ];
        let own = vec![text(&line(1, &["it is 8"]))];
        let error = merged(&[own.clone(), differing.to_vec()]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("found 4 contradictions"), "{error}");
        for (number, what) in ["solutions", "tokens", "tokens", "score"].into_iter().enumerate() {
            assert!(
                error.contains("0.jsonl` line 1 and")
                    && error.contains(&format!("line {}: different {what}", number + 1)),
                "{error}"
            );
        }
        let joined = merged(&[own.clone(), agreeing.to_vec()]).map(|(lines, _)| lines);
        // The score against another reference is kept too.
        assert!(joined.is_ok_and(|lines| lines.len() == 2 && lines[0] == own[0] && lines[1].contains("\"score\":0.0")));
    }

    #[test]
    fn what_is_no_line_is_left_out_aloud() -> Result<()> {
        let own = text(&line(1, &["it is 8"]));
        let (lines, remarks) = merged(&[vec!["{".into(), own.clone(), own[..50].to_owned()]])?;
        assert_eq!((lines, remarks.len()), (vec![own], 2));
        assert!(remarks[0].contains("0.jsonl` line 1: ") && remarks[1].contains("0.jsonl` line 3: "), "{remarks:?}");
        Ok(())
    }
}
