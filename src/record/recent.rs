//! The most recently used lines, as many as fit.

use std::collections::HashMap;
use std::sync::Arc;

use super::key::Key;
use super::line::Line;

/// Two generations of lines. Once the young ones fill half of the room, the old ones are forgotten, and the young ones
/// become the old ones.
pub(super) struct Recent {
    young: HashMap<Key, Arc<Line>>,
    old: HashMap<Key, Arc<Line>>,
    /// Bytes of the young lines.
    used: usize,
    /// Bytes of both generations.
    room: usize,
}

/// What a line takes up besides its texts.
const FIXED: usize = 400;

impl Recent {
    pub fn new(room: usize) -> Self {
        Recent { young: HashMap::new(), old: HashMap::new(), used: 0, room }
    }

    pub fn get(&mut self, key: Key) -> Option<Arc<Line>> {
        if let Some(line) = self.young.get(&key) {
            return Some(line.clone());
        }
        let line = self.old.remove(&key)?;
        self.insert(line.clone());
        Some(line)
    }

    pub fn insert(&mut self, line: Arc<Line>) {
        self.used += size(&line);
        if let Some(former) = self.young.insert(line.key, line) {
            self.used -= size(&former);
        }
        if self.used > self.room / 2 {
            self.old = std::mem::take(&mut self.young);
            self.used = 0;
        }
    }
}

fn size(line: &Line) -> usize {
    let texts =
        line.solutions.iter().map(|given| given.text.len() + given.answer.as_ref().map_or(0, String::len) + 150);
    FIXED + texts.sum::<usize>() + 60 * line.calls.len()
}

#[cfg(test)]
mod tests {
    use super::super::line::Change;
    use super::*;

    #[test]
    fn what_was_used_last_stays() {
        let line = |key: u128| {
            let [problem, operator, model, draw, turn] = Default::default();
            let (solutions, calls) = Default::default();
            let (read, reference) = Default::default();
            let effect = Change::Keep;
            Arc::new(Line {
                key: Key(key),
                problem,
                operator,
                model,
                draw,
                turn,
                read,
                effect,
                solutions,
                marks: Vec::new(),
                context: None,
                unusable: None,
                calls,
                cost: 0.0,
                reference,
            })
        };
        let mut recent = Recent::new(10 * FIXED);
        for key in 0..20 {
            recent.insert(line(key));
            assert!(recent.get(Key(0)).is_some(), "{key}");
        }
        assert!(recent.get(Key(19)).is_some() && recent.get(Key(1)).is_none());
        assert!(recent.young.len() + recent.old.len() <= 11);
    }
}
