//! What the rest of the house must know of an operator, whatever its kind.

/// What an operator reads beside the question, what it leaves, and how it goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whether it reads the solutions of earlier layers.
    pub reads_solutions: bool,
    /// Whether it reads the context that earlier layers left.
    pub reads_context: bool,
    /// Whether there is nothing for it to do before some solution exists.
    pub needs_solution: bool,
    /// Most solutions that it adds.
    pub solutions: usize,
    /// Whether each solution comes of a call of its own, all made at once: they arrive one by one, and their number can be
    /// chosen.
    pub is_side_by_side: bool,
    /// Whether a program may have computed its answers.
    pub executes: bool,
    /// Whether it puts one solution in the place of all.
    pub replaces: bool,
    /// Whether it says what solutions weigh in the vote.
    pub scores: bool,
    /// Whether it leaves context.
    pub informs: bool,
    /// Whether the plan ends behind its layer.
    pub ends: bool,
    /// Whether it asks a model.
    pub asks_model: bool,
    /// Whether it uses a tool: an evaluator, an interpreter, a program of the user's.
    pub uses_tool: bool,
    /// Calls of the model one after another, where that is known whatever comes of them.
    pub rounds: Option<u32>,
    /// Most calls of a model that it makes, on whatever board.
    pub most_calls: u32,
    /// Whether what it reads determines what it leaves.
    pub is_deterministic: bool,
}

impl Signature {
    /// Does nothing.
    pub const IDLE: Signature = Signature {
        reads_solutions: false,
        reads_context: false,
        needs_solution: false,
        solutions: 0,
        is_side_by_side: false,
        executes: false,
        replaces: false,
        scores: false,
        informs: false,
        ends: false,
        asks_model: false,
        uses_tool: false,
        rounds: None,
        most_calls: 0,
        is_deterministic: true,
    };
    /// Answers the question by one call of a model.
    pub const ANSWERS: Signature = Signature {
        solutions: 1,
        is_side_by_side: true,
        asks_model: true,
        rounds: Some(1),
        most_calls: 1,
        is_deterministic: false,
        ..Signature::IDLE
    };
    /// Has a model write a program, and runs it.
    pub const COMPUTES: Signature =
        Signature { is_side_by_side: false, executes: true, uses_tool: true, rounds: None, ..Signature::ANSWERS };
    /// Has a model improve the solution that stands.
    pub const IMPROVES: Signature = Signature {
        reads_solutions: true,
        needs_solution: true,
        solutions: 1,
        asks_model: true,
        most_calls: 1,
        is_deterministic: false,
        ..Signature::IDLE
    };
    /// A plain vote.
    pub const VOTES: Signature =
        Signature { reads_solutions: true, needs_solution: true, replaces: true, ..Signature::IDLE };
    /// Ends a plan. It reads nothing, but comes after what it ends.
    pub const ENDS: Signature =
        Signature { reads_solutions: true, needs_solution: true, ends: true, ..Signature::IDLE };

    /// Whether it puts a solution on an empty board.
    pub fn opens(&self) -> bool {
        self.solutions > 0 && !self.needs_solution
    }

    /// Whether it does something that a plain vote at the end of the plan does not: it asks a model or uses a tool. A survey
    /// tries all operators that do.
    pub fn is_at_work(&self) -> bool {
        self.asks_model || self.uses_tool
    }

    /// Whether it works on solutions that are there.
    pub fn improves(&self) -> bool {
        self.is_at_work() && self.needs_solution
    }

    /// Whether it readies context for others, before there is a solution.
    pub fn prepares(&self) -> bool {
        self.is_at_work() && !self.needs_solution && !self.opens()
    }

    /// Whether the solutions, or what they weigh, may be others once it has acted.
    pub fn moves_solutions(&self) -> bool {
        self.solutions > 0 || self.replaces || self.scores || self.ends
    }
}
