//! Sets of real numbers in any notation: intervals, inequalities, unions, exceptions.
//!
//! The ends of all intervals divide the line into points and the open intervals between them. A set is described by
//! which of these it contains.

use num_traits::{One, Signed};

use super::approximate;
use super::budget::Budget;
use super::evaluate::value;
use super::exact::Value;
use super::expression::Expression::{self, *};
use super::relation::excess;

/// Sets with more ends are not compared.
const MOST_ENDS: usize = 64;

/// The ends of intervals, each with its position on the line.
#[derive(Default)]
struct Ends(Vec<(Value, f64)>);

/// A set; its ends are indices into `Ends`.
#[derive(Clone, Debug)]
enum Set {
    Everything,
    /// From one end to another, each with whether the set contains it; `None` is infinity.
    Interval(Option<(usize, bool)>, Option<(usize, bool)>),
    Points(Vec<usize>),
    Union(Vec<Set>),
    Intersection(Vec<Set>),
    Difference(Box<Set>, Box<Set>),
}

/// A set, with the variable of its inequalities.
struct Named {
    set: Set,
    name: Option<String>,
}

/// Whether two expressions are the same set. `None` if one is not a set of numbers, or if neither must be one: `(1, 2)`
/// may be a point.
pub(super) fn same(left: &Expression, right: &Expression, budget: &Budget) -> Option<bool> {
    if !must_be_set(left) && !must_be_set(right) {
        return None;
    }
    let mut ends = Ends::default();
    let (left, right) = (ends.set(left, budget)?, ends.set(right, budget)?);
    if left.name.is_some() && right.name.is_some() && left.name != right.name {
        return Some(false);
    }
    let order = ends.order();
    let cells = 0..=2 * order.len();
    Some(cells.into_iter().all(|cell| left.set.holds(cell, &order) == right.set.holds(cell, &order)))
}

/// The intervals of an expression that must be a set, from left to right, and its variable.
pub(super) fn intervals(expression: &Expression, budget: &Budget) -> Option<Vec<Interval>> {
    if !must_be_set(expression) {
        return None;
    }
    let mut ends = Ends::default();
    let set = ends.set(expression, budget)?.set;
    let order = ends.order();
    let at = |place: usize| order.iter().position(|ordered| *ordered == place).map(|end| ends.0[end].0.clone());
    let mut found: Vec<Interval> = Vec::new();
    let mut was_held = false;
    for cell in 0..=2 * order.len() {
        let is_held = set.holds(cell, &order);
        let end = (cell > 0).then(|| at((cell - 1) / 2)).flatten();
        let is_point = cell % 2 == 1;
        if is_held && !was_held {
            found.push(Interval { low: end.clone().map(|end| (end, is_point)), high: None });
        }
        if !is_held && was_held {
            // The set ends here without this point, or at the point before this cell.
            let last = found.last_mut()?;
            last.high = end.map(|end| (end, !is_point));
        }
        was_held = is_held;
    }
    Some(found)
}

/// From one end to another, each with whether the interval contains it; `None` is infinity.
pub(super) struct Interval {
    pub low: Option<(Value, bool)>,
    pub high: Option<(Value, bool)>,
}

/// Whether an expression can only be a set of numbers, or a condition on a variable.
fn must_be_set(expression: &Expression) -> bool {
    match expression {
        Symbol(name) => name == "ℝ",
        Bracketed(open, parts, close) => {
            let has_one_end = (*open == '(') != (*close == ')') || parts.iter().any(|end| infinity(end).is_some());
            parts.len() == 2 && has_one_end
        }
        Union(_) => true,
        Call(name, _) => matches!(name.as_str(), "intersection" | "difference" | "such that"),
        Relation { signs, .. } => signs.iter().all(|sign| "<>≤≥≠∈".contains(*sign)),
        List(parts) => match parts.split_first() {
            Some((Relation { signs, .. }, _)) if signs == &['≠'] => true,
            Some(_) => parts.iter().all(|part| matches!(part, Relation { .. }) && must_be_set(part)),
            None => false,
        },
        Sum(parts) => parts.first().is_some_and(must_be_set),
        _ => false,
    }
}

fn infinity(expression: &Expression) -> Option<bool> {
    match expression {
        Symbol(name) if name == "infinity" => Some(true),
        Negative(inner) => infinity(inner).map(|is_positive| !is_positive),
        _ => None,
    }
}

impl Ends {
    /// The index of the end with this value.
    fn end(&mut self, expression: &Expression, budget: &Budget) -> Option<usize> {
        self.place(value(expression, budget)?, budget)
    }

    fn place(&mut self, exact: Value, budget: &Budget) -> Option<usize> {
        let place = approximate::real(&exact)?;
        for (at, (other, other_place)) in self.0.iter().enumerate() {
            if (place - other_place).abs() <= 1e-9 * place.abs().max(1.0) {
                budget.spend(2 * exact.size() * other.size())?;
                // Closer values can be told apart only if the exact form does so.
                return if exact.is_same(other)? || approximate::agree(&exact, other) { Some(at) } else { None };
            }
        }
        self.0.push((exact, place));
        (self.0.len() <= MOST_ENDS).then(|| self.0.len() - 1)
    }

    /// For each end, the number of ends to its left.
    fn order(&self) -> Vec<usize> {
        self.0.iter().map(|(_, place)| self.0.iter().filter(|(_, other)| other < place).count()).collect()
    }

    fn set(&mut self, expression: &Expression, budget: &Budget) -> Option<Named> {
        let unnamed = |set| Some(Named { set, name: None });
        match expression {
            Symbol(name) if name == "ℝ" => unnamed(Set::Everything),
            Bracketed(open, parts, close) => {
                let [low, high] = parts.as_slice() else { return None };
                unnamed(self.interval((low, *open == '['), (high, *close == ']'), budget)?)
            }
            List(parts) if parts.iter().all(|part| matches!(part, Relation { .. })) && !parts.is_empty() => {
                self.conditions(parts, budget)
            }
            List(parts) if parts.iter().any(|part| matches!(part, Relation { .. })) => self.exceptions(parts, budget),
            List(parts) => {
                unnamed(Set::Points(parts.iter().map(|part| self.end(part, budget)).collect::<Option<_>>()?))
            }
            Union(parts) => self.all(parts, Set::Union, budget),
            Call(name, parts) => match (name.as_str(), parts.as_slice()) {
                ("intersection", parts) => self.all(parts, Set::Intersection, budget),
                ("difference", [whole, without]) => self.difference(whole, without, budget),
                ("such that", [Symbol(name), condition]) => {
                    let condition = self.set(condition, budget)?;
                    if condition.name.as_ref() == Some(name) { unnamed(condition.set) } else { None }
                }
                _ => None,
            },
            Sum(parts) => match parts.as_slice() {
                [whole, Negative(without)] if must_be_set(whole) => self.difference(whole, without, budget),
                _ => None,
            },
            Relation { sides, signs } => self.relation(sides, signs, budget),
            _ => None,
        }
    }

    fn difference(&mut self, whole: &Expression, without: &Expression, budget: &Budget) -> Option<Named> {
        let (whole, without) = (self.set(whole, budget)?, self.set(without, budget)?);
        Some(Named { set: Set::Difference(Box::new(whole.set), Box::new(without.set)), name: None })
    }

    /// Combines sets of one variable.
    fn all(&mut self, parts: &[Expression], whole: fn(Vec<Set>) -> Set, budget: &Budget) -> Option<Named> {
        let parts = parts.iter().map(|part| self.set(part, budget)).collect::<Option<Vec<_>>>()?;
        let name = parts.first()?.name.clone();
        let has_one_name = parts.iter().all(|part| part.name == name);
        has_one_name.then(|| Named { set: whole(parts.into_iter().map(|part| part.set).collect()), name })
    }

    /// Conditions joined by commas or "and": all must hold. If they cannot all hold, as with `x < 1, x > 3`, one must.
    fn conditions(&mut self, parts: &[Expression], budget: &Budget) -> Option<Named> {
        let named = self.all(parts, Set::Intersection, budget)?;
        let Set::Intersection(sets) = &named.set else { return None };
        let order = self.order();
        let is_possible = (0..=2 * order.len()).any(|cell| named.set.holds(cell, &order));
        Some(if is_possible { named } else { Named { set: Set::Union(sets.clone()), name: named.name } })
    }

    /// `x \ne 2, 3` excludes both.
    fn exceptions(&mut self, parts: &[Expression], budget: &Budget) -> Option<Named> {
        let (first, rest) = parts.split_first()?;
        let first = self.set(first, budget)?;
        let without = Set::Points(rest.iter().map(|part| self.end(part, budget)).collect::<Option<_>>()?);
        Some(Named { set: Set::Difference(Box::new(first.set), Box::new(without)), name: first.name })
    }

    fn relation(&mut self, sides: &[Expression], signs: &[char], budget: &Budget) -> Option<Named> {
        let (set, name) = match (sides, signs) {
            ([Symbol(name), inner], ['∈']) => (self.set(inner, budget)?.set, name),
            ([Symbol(name), end] | [end, Symbol(name)], ['≠']) if name != "infinity" => {
                let without = Set::Points(vec![self.end(end, budget)?]);
                (Set::Difference(Box::new(Set::Everything), Box::new(without)), name)
            }
            (_, ['<' | '≤' | '>' | '≥']) => return self.half_line(sides, signs, budget),
            ([first, Symbol(name), second], [left, right]) => {
                let is_less = |sign: &char| "<≤".contains(*sign);
                let is_more = |sign: &char| ">≥".contains(*sign);
                let (first, second) = ((first, "≤≥".contains(*left)), (second, "≤≥".contains(*right)));
                let interval = if is_less(left) && is_less(right) {
                    self.interval(first, second, budget)?
                } else if is_more(left) && is_more(right) {
                    self.interval(second, first, budget)?
                } else {
                    return None;
                };
                (interval, name)
            }
            _ => return None,
        };
        Some(Named { set, name: Some(name.clone()) })
    }

    /// An inequality that is linear in its only variable.
    fn half_line(&mut self, sides: &[Expression], signs: &[char], budget: &Budget) -> Option<Named> {
        let (excess, is_open) = excess(sides, signs, budget)?;
        let variables = approximate::variables(&excess);
        let mut names = variables.iter().filter(|name| !matches!(name.as_str(), "pi" | "e"));
        let name = names.next().filter(|name| *name != "infinity" && names.next().is_none())?;
        let variable = Value::symbol(name);
        let (monomial, _) = variable.single_term()?;
        let slope = Value::rational(excess.numerator.0.get(monomial)?.clone());
        let shift = excess.plus(&slope.times(&variable)?.negated())?;
        if !excess.denominator.number()?.is_one() || approximate::variables(&shift).contains(name) {
            return None;
        }
        let end = Some((self.place(shift.negated().times(&slope.inverse()?)?, budget)?, !is_open));
        let is_below = slope.as_number()?.is_positive();
        let set = if is_below { Set::Interval(None, end) } else { Set::Interval(end, None) };
        Some(Named { set, name: Some(name.clone()) })
    }

    fn interval(&mut self, low: (&Expression, bool), high: (&Expression, bool), budget: &Budget) -> Option<Set> {
        let mut end = |(end, is_held): (&Expression, bool), upper: bool| match infinity(end) {
            Some(is_positive) => (is_positive == upper && !is_held).then_some(None),
            None => Some(Some((self.end(end, budget)?, is_held))),
        };
        let (low, high) = (end(low, false)?, end(high, true)?);
        if let (Some((low, holds_low)), Some((high, holds_high))) = (low, high) {
            let is_point = low == high && holds_low && holds_high;
            // Nobody writes an empty interval.
            if !is_point && self.0[low].1 >= self.0[high].1 {
                return None;
            }
        }
        Some(Set::Interval(low, high))
    }
}

impl Set {
    /// Whether the set contains a cell of the line. Cell `2 n + 1` is the end with `n` others to its left; cell `2 n`
    /// lies before it.
    fn holds(&self, cell: usize, order: &[usize]) -> bool {
        let place = |end: usize| 2 * order[end] + 1;
        match self {
            Set::Everything => true,
            Set::Interval(low, high) => {
                low.is_none_or(|(end, is_held)| cell > place(end) || (is_held && cell == place(end)))
                    && high.is_none_or(|(end, is_held)| cell < place(end) || (is_held && cell == place(end)))
            }
            Set::Points(ends) => ends.iter().any(|end| cell == place(*end)),
            Set::Union(parts) => parts.iter().any(|part| part.holds(cell, order)),
            Set::Intersection(parts) => parts.iter().all(|part| part.holds(cell, order)),
            Set::Difference(whole, without) => whole.holds(cell, order) && !without.holds(cell, order),
        }
    }
}
