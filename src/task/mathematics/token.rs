//! Splits LaTeX, Unicode or plain text into tokens: spacing, sizes and styles are dropped, digit groups are joined.

use super::commands::{SET, SIGNS, SKIPPED};
use super::words::{self, Run};

/// Longer texts are compared as written.
const LONGEST: usize = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Digits with at most one point; and the digits after them that repeat for ever, if any.
    Number {
        digits: String,
        repeating: String,
    },
    Symbol(String),
    Word(String),
    Function(String),
    /// `frac`, `binom`, `sqrt` (of the next argument), `over`, `choose`.
    Command(&'static str),
    /// A matrix begins or ends.
    Begin,
    End,
    /// Operators and brackets; `\n` ends a row of a matrix.
    Sign(char),
}

use Token::*;

/// The tokens of a text; `None` if it is too long or does not close its braces.
///
/// `1,234` is a number if `joins_commas`, otherwise two numbers; `1,\!234`, `1{,}234` and `1 234` are always numbers.
pub(super) fn tokens(text: &str, joins_commas: bool) -> Option<Vec<Token>> {
    let source: Vec<char> = text.chars().take(LONGEST + 1).collect();
    if source.len() > LONGEST {
        return None;
    }
    let mut lexer = Lexer { source, at: 0, joins_commas, brackets: 0, found: Vec::new(), side: None };
    lexer.read(false, usize::MAX)?;
    Some(lexer.found)
}

pub(super) struct Lexer {
    pub(super) source: Vec<char>,
    pub(super) at: usize,
    pub(super) joins_commas: bool,
    /// Number of open brackets; inside brackets a plain comma separates.
    pub(super) brackets: usize,
    pub(super) found: Vec<Token>,
    /// Whether `\left` precedes the next bracket, or `\right`.
    side: Option<bool>,
}

impl Lexer {
    pub(super) fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    pub(super) fn starts_with(&self, at: usize, text: &str) -> bool {
        text.chars().enumerate().all(|(offset, letter)| self.source.get(at + offset) == Some(&letter))
    }

    fn push(&mut self, token: Token) {
        self.found.push(token);
    }

    /// Reads up to the position `end`; in text, every run of letters is a word.
    fn read(&mut self, in_text: bool, end: usize) -> Option<()> {
        while self.at < end.min(self.source.len()) {
            let letter = self.source[self.at];
            match letter {
                letter if letter.is_ascii_alphanumeric() && !self.follows_letter() && self.numeral() => {}
                '0'..='9' => self.number()?,
                '.' if self.begins_decimals() => self.number()?,
                '\\' => self.command(in_text)?,
                letter if letter.is_ascii_alphabetic() => self.letters(in_text, end),
                _ => {
                    self.at += 1;
                    self.sign(letter);
                }
            }
        }
        Some(())
    }

    fn sign(&mut self, letter: char) {
        match letter {
            '−' | '–' | '—' | '‐' | '‑' | '－' | '-' => self.push(Sign('-')),
            '*' if self.peek(0) == Some('*') => {
                self.at += 1;
                self.push(Sign('^'));
            }
            '×' | '·' | '⋅' | '∙' | '∗' | '*' => self.push(Sign('*')),
            '÷' | '⁄' | '∕' | '/' => self.push(Sign('/')),
            'π' => self.push(Symbol("pi".into())),
            '∞' => self.push(Symbol("infinity".into())),
            '√' => self.push(Command("sqrt")),
            '∅' => self.found.extend([Sign(SET.0), Sign(SET.1)]),
            '∣' => self.push(Sign('|')),
            '⩽' => self.push(Sign('≤')),
            '⩾' => self.push(Sign('≥')),
            '<' | '>' | '!' | '=' if self.peek(0) == Some('=') => {
                self.at += 1;
                self.push(Sign(match letter {
                    '<' => '≤',
                    '>' => '≥',
                    '!' => '≠',
                    _ => '=',
                }));
            }
            '^' if self.skip_degree() => self.push(Sign('°')),
            '(' | '⟨' => self.open('('),
            ')' | '⟩' => self.close(')'),
            '[' | ']' => self.square(letter),
            '$' | '.' | '~' | '"' | '`' | '“' | '”' | '\u{200b}' => {}
            '\n' => {}
            letter if letter.is_whitespace() || self.small_digits(letter) => {}
            letter if letter.is_alphabetic() => self.push(Symbol(letter.to_string())),
            letter => self.push(Sign(letter)),
        }
    }

    fn open(&mut self, bracket: char) {
        self.brackets += 1;
        // The letter U between two brackets is a union.
        if let [.., Sign(')' | ']'), last @ Symbol(_)] = self.found.as_mut_slice()
            && *last == Symbol("U".into())
        {
            *last = Sign('∪');
        }
        self.push(Sign(bracket));
    }

    fn close(&mut self, bracket: char) {
        self.brackets = self.brackets.saturating_sub(1);
        self.push(Sign(bracket));
    }

    /// A square bracket. One that faces outwards excludes the end of the interval: `]2, 5[` is `(2, 5)`.
    fn square(&mut self, bracket: char) {
        let side = self.side.take();
        let opens = if bracket == ']' {
            side.unwrap_or_else(|| self.brackets == 0 || self.awaits_part())
        } else {
            side.unwrap_or_else(|| self.brackets == 0 || self.awaits_part() || !self.ends_interval())
        };
        match (bracket, opens) {
            ('[', true) => self.open('['),
            ('[', false) => self.close(')'),
            (_, true) => self.open('('),
            (_, false) => self.close(']'),
        }
    }

    /// Whether what was read so far is incomplete.
    fn awaits_part(&self) -> bool {
        match self.found.last() {
            None | Some(Word(_) | Command(_) | Begin | Function(_)) => true,
            Some(Sign(sign)) => !")]}⦄!%°|".contains(*sign),
            _ => false,
        }
    }

    /// Whether nothing follows that a bracket could contain.
    fn ends_interval(&self) -> bool {
        const AFTER: [&str; 7] = ["\\cup", "\\cap", "\\setminus", "\\text", "\\mbox", "\\)", "\\]"];
        let at = self.at + self.source[self.at..].iter().take_while(|letter| letter.is_whitespace()).count();
        match self.source.get(at) {
            Some('\\') => AFTER.iter().any(|text| self.starts_with(at, text)),
            Some(letter) => ",;)}$.∪∩∖U".contains(*letter),
            None => true,
        }
    }

    /// Skips the rest of `^\circ`, `^{\circ}` or `^°`.
    fn skip_degree(&mut self) -> bool {
        let mut at = self.at;
        let skip = |at: &mut usize, wanted: &[&str]| {
            while self.source.get(*at) == Some(&' ') {
                *at += 1;
            }
            let found = wanted.iter().find(|text| self.starts_with(*at, text));
            *at += found.map_or(0, |text| text.chars().count());
            found.is_some()
        };
        let is_braced = skip(&mut at, &["{"]);
        let found = skip(&mut at, &["\\circ", "\\degree", "°", "∘"]) && (!is_braced || skip(&mut at, &["}"]));
        if found {
            self.at = at;
        }
        found
    }

    fn follows_letter(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.source.get(at));
        before.is_some_and(|letter| letter.is_ascii_alphanumeric() || *letter == '\\')
    }

    /// Whether digits follow the point at this position.
    fn begins_decimals(&self) -> bool {
        const MARKS: [&str; 4] = ["\\overline", "\\bar", "\\dot{", "\\dot "];
        self.peek(1).is_some_and(|next| next.is_ascii_digit())
            || MARKS.iter().any(|mark| self.starts_with(self.at + 1, mark))
    }

    fn letters(&mut self, in_text: bool, end: usize) {
        let start = self.at;
        while self.at < end && self.peek(0).is_some_and(|letter| letter.is_ascii_alphabetic()) {
            self.at += 1;
        }
        let run: String = self.source[start..self.at].iter().collect();
        if in_text {
            return self.push(Word(run));
        }
        let after_value = self.found.last().is_some_and(|token| match token {
            Number { .. } | Symbol(_) => true,
            Sign(sign) => ")]}%°".contains(*sign),
            _ => false,
        });
        match words::classify(&run, after_value) {
            Run::Function(name) => self.push(Function(name.into())),
            Run::Constant(name) => self.push(Symbol(name.into())),
            Run::Root => self.push(Command("sqrt")),
            Run::Word => self.push(Word(run)),
            Run::Letters => self.found.extend(run.chars().map(|letter| Symbol(letter.into()))),
        }
    }

    fn command(&mut self, in_text: bool) -> Option<()> {
        self.at += 1;
        let start = self.at;
        while self.peek(0).is_some_and(|letter| letter.is_ascii_alphabetic()) {
            self.at += 1;
        }
        let name: String = self.source[start..self.at].iter().collect();
        if name.is_empty() {
            let letter = self.peek(0)?;
            self.at += 1;
            match letter {
                '{' => self.open(SET.0),
                '}' => self.close(SET.1),
                '\\' => self.push(Sign('\n')),
                '%' | '$' | '&' | '#' => self.push(Sign(letter)),
                '|' => self.push(Sign('|')),
                // No command has such a name.
                '0'..='9' => return None,
                _ => {}
            }
            return Some(());
        }
        match name.as_str() {
            "frac" | "dfrac" | "tfrac" | "cfrac" => self.push(Command("frac")),
            "binom" | "dbinom" | "tbinom" => self.push(Command("binom")),
            "sqrt" => self.push(Command("sqrt")),
            "over" => self.push(Command("over")),
            "choose" => self.push(Command("choose")),
            "overline" | "bar" | "widehat" => self.push(Function("overline".into())),
            "infty" => self.push(Symbol("infinity".into())),
            "emptyset" | "varnothing" => self.found.extend([Sign(SET.0), Sign(SET.1)]),
            "text" | "textbf" | "textit" | "textrm" | "texttt" | "mbox" | "mathrm" | "operatorname" | "mathsf"
            | "textnormal" | "hbox" => self.text(&name)?,
            "begin" | "end" => self.environment(name == "begin")?,
            "left" | "right" if self.peek(0) == Some('.') => self.at += 1,
            "left" | "right" => self.side = matches!(self.peek(0), Some('[' | ']')).then_some(name == "left"),
            "not" if self.peek(0) == Some('=') => {
                self.at += 1;
                self.push(Sign('≠'));
            }
            "mathbb" | "Bbb" => self.blackboard(),
            "R" | "Reals" | "reals" => self.push(Symbol("ℝ".into())),
            _ if SKIPPED.contains(&name.as_str()) => {}
            _ => match SIGNS.iter().find(|(known, _)| *known == name) {
                Some((_, sign)) if "(⦃[".contains(*sign) => self.open(*sign),
                Some((_, sign)) if ")⦄]".contains(*sign) => self.close(*sign),
                Some((_, sign)) => self.push(Sign(*sign)),
                None => self.named(&name, in_text),
            },
        }
        Some(())
    }

    /// The sets of numbers have letters of their own.
    fn blackboard(&mut self) {
        while matches!(self.peek(0), Some(' ' | '{')) {
            self.at += 1;
        }
        let Some(letter) = self.peek(0).filter(char::is_ascii_alphabetic) else { return };
        self.at += 1;
        let set = "CℂNℕQℚRℝZℤ".split_once(letter).and_then(|(_, after)| after.chars().next());
        self.push(Symbol(set.unwrap_or(letter).into()));
        if self.peek(0) == Some('}') {
            self.at += 1;
        }
        self.half_line();
    }

    /// The positive or the negative numbers: `\mathbb{R}^+`.
    fn half_line(&mut self) {
        const POSITIVE: [&str; 4] = ["^+", "^{+}", "_+", "_{+}"];
        const NEGATIVE: [&str; 4] = ["^-", "^{-}", "_-", "_{-}"];
        if self.found.last() != Some(&Symbol("ℝ".into())) {
            return;
        }
        let find = |signs: [&'static str; 4]| signs.into_iter().find(|text| self.starts_with(self.at, text));
        let (positive, negative) = (find(POSITIVE), find(NEGATIVE));
        let Some(written) = positive.or(negative) else { return };
        self.at += written.len();
        let zero = Number { digits: "0".into(), repeating: String::new() };
        let infinity = Symbol("infinity".into());
        self.found.pop();
        self.push(Sign('('));
        match positive {
            Some(_) => self.found.extend([zero, Sign(','), infinity]),
            None => self.found.extend([Sign('-'), infinity, Sign(','), zero]),
        }
        self.push(Sign(')'));
    }

    fn named(&mut self, name: &str, in_text: bool) {
        match words::classify(name, false) {
            Run::Function(function) => self.push(Function(function.into())),
            _ if in_text => self.push(Word(name.into())),
            _ => self.push(Symbol(name.trim_start_matches("var").into())),
        }
    }

    /// The contents of `\text{...}` and the like, read as if written without it, but as words.
    fn text(&mut self, command: &str) -> Option<()> {
        while self.peek(0) == Some(' ') {
            self.at += 1;
        }
        if self.peek(0) != Some('{') {
            return Some(());
        }
        let end = closing_brace(&self.source, self.at)?;
        self.at += 1;
        let inside = &self.source[self.at..end];
        let is_variable = matches!(inside, [letter] if letter.is_ascii_alphabetic());
        if command == "mathrm" && is_variable {
            self.found.push(Symbol(inside.iter().collect()));
        } else {
            self.read(true, end)?;
        }
        self.at = end + 1;
        Some(())
    }

    fn environment(&mut self, begins: bool) -> Option<()> {
        let end = closing_brace(&self.source, self.at)?;
        let name: String = self.source[self.at + 1..end].iter().collect();
        self.at = end + 1;
        match name.trim_end_matches('*') {
            "array" if begins && self.peek(0) == Some('{') => self.at = closing_brace(&self.source, self.at)? + 1,
            "pmatrix" | "bmatrix" | "matrix" | "array" | "smallmatrix" | "Bmatrix" => {}
            "align" | "aligned" | "equation" | "gather" | "center" => return Some(()),
            _ => return None,
        }
        if begins {
            self.open('(');
            self.found.pop();
        } else {
            self.brackets = self.brackets.saturating_sub(1);
        }
        self.push(if begins { Begin } else { End });
        Some(())
    }
}

/// The position of the brace that closes the one at `open`.
pub(super) fn closing_brace(source: &[char], open: usize) -> Option<usize> {
    if source.get(open) != Some(&'{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut at = open;
    while let Some(letter) = source.get(at) {
        match letter {
            '\\' => at += 1,
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}
