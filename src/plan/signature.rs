//! What the rest of the crate must know about an operator, whatever its kind.

/// What an operator reads besides the question, what it leaves, and how it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whether it reads the solutions of earlier layers.
    pub reads_solutions: bool,
    /// Whether it reads the context that earlier layers left.
    pub reads_context: bool,
    /// Whether it has nothing to do before there is a solution.
    pub needs_solution: bool,
    /// Most solutions that it adds.
    pub solutions: usize,
    /// Whether each solution comes from its own call, all made at once: the solutions arrive one by one, and their number can be
    /// chosen.
    pub is_side_by_side: bool,
    /// Whether its answers may be computed by a program.
    pub executes: bool,
    /// Whether it replaces all solutions by one.
    pub replaces: bool,
    /// Whether it sets what solutions weigh in the vote.
    pub scores: bool,
    /// Whether it leaves context.
    pub informs: bool,
    /// Whether the plan ends after its layer.
    pub ends: bool,
    /// Whether it asks a model.
    pub asks_model: bool,
    /// Whether it uses a tool: an evaluator, an interpreter, or a user's program.
    pub uses_tool: bool,
    /// Number of sequential model calls, if it does not depend on their results.
    pub rounds: Option<u32>,
    /// Most model calls that it makes, whatever it reads.
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
    /// Answers the question with one model call.
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
    /// Has a model improve the current solution.
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
    /// Ends a plan. It reads nothing, but comes after everything that it ends.
    pub const ENDS: Signature =
        Signature { reads_solutions: true, needs_solution: true, ends: true, ..Signature::IDLE };

    /// Whether it generates a solution when there is none.
    pub fn opens(&self) -> bool {
        self.solutions > 0 && !self.needs_solution
    }

    /// Whether it asks a model or uses a tool, that is, does more than the plain vote at the end of every plan. A survey tries all
    /// such operators.
    pub fn is_at_work(&self) -> bool {
        self.asks_model || self.uses_tool
    }

    /// Whether it works on existing solutions.
    pub fn improves(&self) -> bool {
        self.is_at_work() && self.needs_solution
    }

    /// Whether it prepares context for others, before there is a solution.
    pub fn prepares(&self) -> bool {
        self.is_at_work() && !self.needs_solution && !self.opens()
    }

    /// Whether it may change the solutions or their weights.
    pub fn moves_solutions(&self) -> bool {
        self.solutions > 0 || self.replaces || self.scores || self.ends
    }
}
