//! The worked solution of a problem: steps over given numbers and earlier results, written as a chain or a program.

use Operand::{Given, Result};
use Operation::{Add, CountAbove, CountBelow, Divide, Larger, Multiply, Remainder, Smaller, Subtract};

/// No number in any solution is larger.
pub(super) const LARGEST_RESULT: u32 = 9999;

/// What one line of reasoning does with its two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Larger,
    Smaller,
    /// Adds one to the previous line's tally if the left operand is above the right one.
    CountAbove,
    /// Adds one to the previous line's tally if the left operand is below the right one.
    CountBelow,
}

/// A number of the question, or the result of an earlier step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Given(u32),
    Result(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub left: Operand,
    pub operation: Operation,
    pub right: Operand,
}

/// Steps in order. The answer is the last result, or the given number if a question takes no step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Working {
    pub given: u32,
    pub steps: Vec<Step>,
}

/// A question and its solutions, before it is known whether the split takes it.
pub(super) struct Draft {
    pub question: String,
    pub working: Working,
    pub program: Option<String>,
}

impl Draft {
    /// The program does the same as the working, if a program can.
    pub fn new(question: String, working: Working) -> Draft {
        let program = working.program();
        Draft { question, working, program }
    }
}

impl Operation {
    /// `None` below zero, above `u32` or for a division by zero. A division rounds down: wrong workings need this, and
    /// right ones are checked with [`Operation::is_exact`].
    pub fn apply(self, tally: u32, left: u32, right: u32) -> Option<u32> {
        match self {
            Add => left.checked_add(right),
            Subtract => left.checked_sub(right),
            Multiply => left.checked_mul(right),
            Divide => left.checked_div(right),
            Remainder => left.checked_rem(right),
            Larger => Some(left.max(right)),
            Smaller => Some(left.min(right)),
            CountAbove => Some(tally + u32::from(left > right)),
            CountBelow => Some(tally + u32::from(left < right)),
        }
    }

    pub fn is_exact(self, left: u32, right: u32) -> bool {
        self != Divide || (right != 0 && left.is_multiple_of(right))
    }

    /// Whether a program of `+ - * /` can express it.
    fn has_program(self) -> bool {
        matches!(self, Add | Subtract | Multiply | Divide)
    }

    fn sign(self) -> &'static str {
        match self {
            Add => "+",
            Subtract => "-",
            Multiply => "*",
            Divide => "/",
            Remainder => "%",
            Larger => "max",
            Smaller => "min",
            CountAbove | CountBelow => ":",
        }
    }
}

impl Operand {
    /// The number itself; zero for an operand that refers to no earlier result.
    pub fn value(self, results: &[u32]) -> u32 {
        match self {
            Given(number) => number,
            Result(step) => results.get(step).copied().unwrap_or(0),
        }
    }
}

impl Working {
    /// The result of every step. A `slip` replaces the result of one step by a wrong number, which is carried on.
    pub fn results(&self, slip: Option<(usize, u32)>) -> Option<Vec<u32>> {
        let mut results: Vec<u32> = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let tally = results.last().copied().unwrap_or(0);
            let value = step.operation.apply(tally, step.left.value(&results), step.right.value(&results))?;
            results.push(slip.filter(|(at, _)| *at == index).map_or(value, |(_, wrong)| wrong));
        }
        Some(results)
    }

    pub fn answer(&self, results: &[u32]) -> u32 {
        results.last().copied().unwrap_or(self.given)
    }

    /// `13 + 7 = 20 . 20 / 2 = 10 . the answer is 10`; a tally reads `12 > 9 : 1 . 5 < 9 : 1`.
    pub fn chain(&self, results: &[u32]) -> String {
        let mut text = String::new();
        for (step, result) in self.steps.iter().zip(results) {
            let (left, right) = (step.left.value(results), step.right.value(results));
            text += &match step.operation {
                CountAbove | CountBelow => {
                    let sign = if left > right { ">" } else { "<" };
                    format!("{left} {sign} {right} : {result} . ")
                }
                operation => format!("{left} {} {right} = {result} . ", operation.sign()),
            };
        }
        text + format!("the answer is {}", self.answer(results)).as_str()
    }

    /// `a = 5 * 12 ; b = a - 7 ; return b`; `None` if there is nothing to compute or a program cannot express some
    /// step.
    pub fn program(&self) -> Option<String> {
        let last = self.steps.len().checked_sub(1)?;
        let mut text = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            if !step.operation.has_program() {
                return None;
            }
            let (left, right) = (term(step.left)?, term(step.right)?);
            text += &format!("{} = {left} {} {right} ; ", variable(index)?, step.operation.sign());
        }
        Some(text + format!("return {}", variable(last)?).as_str())
    }
}

fn term(operand: Operand) -> Option<String> {
    match operand {
        Given(number) => Some(number.to_string()),
        Result(step) => variable(step).map(String::from),
    }
}

fn variable(step: usize) -> Option<char> {
    ('a'..='z').nth(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &[(Operand, Operation, Operand)], chain: &str, program: Option<&str>) {
        let steps = steps.iter().map(|&(left, operation, right)| Step { left, operation, right }).collect();
        let working = Working { given: 14, steps };
        let results = working.results(None).expect("valid");
        assert_eq!(working.chain(&results), chain);
        assert_eq!(working.program().as_deref(), program);
    }

    #[test]
    fn writes_chains_and_programs() {
        check(&[], "the answer is 14", None);
        check(
            &[(Given(5), Multiply, Given(12)), (Result(0), Subtract, Given(7))],
            "5 * 12 = 60 . 60 - 7 = 53 . the answer is 53",
            Some("a = 5 * 12 ; b = a - 7 ; return b"),
        );
        check(&[(Given(17), Remainder, Given(5))], "17 % 5 = 2 . the answer is 2", None);
        check(
            &[(Given(12), CountAbove, Given(9)), (Given(5), CountAbove, Given(9)), (Given(30), CountAbove, Given(9))],
            "12 > 9 : 1 . 5 < 9 : 1 . 30 > 9 : 2 . the answer is 2",
            None,
        );
        check(&[(Given(12), Larger, Given(30))], "12 max 30 = 30 . the answer is 30", None);
    }

    #[test]
    fn impossible_steps_have_no_result() {
        for (left, operation, right) in [(1, Subtract, 2), (1, Divide, 0), (1, Remainder, 0), (u32::MAX, Add, 1)] {
            assert_eq!(operation.apply(0, left, right), None);
        }
    }
}
