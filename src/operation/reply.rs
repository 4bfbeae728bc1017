//! Reads what a model says about numbered solutions.

/// Which of `solutions` solutions `reply` names, by its last number, counted from 1, or its last capital letter, from
/// `A`.
pub(super) fn chosen(reply: &str, solutions: usize) -> Option<usize> {
    let position = |word: &str| match word.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => word.parse::<usize>().ok()?.checked_sub(1),
    };
    let words = reply.split(|c: char| !c.is_alphanumeric()).rev();
    words.filter_map(position).find(|position| *position < solutions)
}

/// The ratings that `reply` gives to this many solutions. Line by line, it names the number of a solution, then after
/// some other text its rating; of several ratings for one solution the last counts. Otherwise it ends with the ratings, in
/// order, and nothing but separators between them.
pub(super) fn rated(reply: &str, solutions: usize) -> Vec<Option<f64>> {
    let mut ratings = vec![None; solutions];
    for line in reply.lines() {
        if let [(_, number), (between, rating), ..] = numbers(line)[..]
            && !matches!(between, "" | "," | ";")
            && number >= 1.0
            && number.fract() == 0.0
            && let Some(place) = ratings.get_mut(number as usize - 1)
        {
            *place = Some(rating);
        }
    }
    let all = numbers(reply);
    let is_list = all.iter().skip(1).all(|(between, _)| matches!(*between, "" | "," | ";" | "|" | "and" | ", and"));
    if ratings.iter().all(Option::is_none) && all.len() == solutions && is_list {
        ratings = all.into_iter().map(|(_, rating)| Some(rating)).collect();
    }
    ratings
}

/// The numbers in a text, each with the text before it. Those that others are measured against are left out, as in
/// `7/10` and `7 out of 10`.
fn numbers(text: &str) -> Vec<(&str, f64)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (gap, from) = rest.split_at(start);
        let length = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (number, after) = from.split_at(length);
        rest = after;
        let before = gap.trim();
        if !found.is_empty() && (before == "/" || before.ends_with("out of")) {
            continue;
        }
        // A dash that stands apart from the number is not its sign.
        let is_negative = gap.strip_suffix('-').is_some_and(|before| before.ends_with([' ', ':']));
        let sign = if is_negative { -1.0 } else { 1.0 };
        found.extend(number.trim_end_matches('.').parse::<f64>().ok().map(|number| (before, sign * number)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, choice: Option<usize>) {
        assert_eq!(chosen(reply, 3), choice, "{reply}");
    }

    #[test]
    fn the_choice_is_read_from_the_reply() {
        check("B", Some(1));
        check("the most consistent solution is C.", Some(2));
        check("Solution 1", Some(0));
        check("(A) agrees with 7 others", Some(0));
        check("Z", None);
        check("0", None);
        check("99999999999999999999", None);
        check("none of them", None);
    }

    #[track_caller]
    fn check_rated(reply: &str, ratings: &[Option<f64>]) {
        assert_eq!(rated(reply, 3), ratings, "{reply}");
    }

    #[test]
    fn ratings_are_read_from_the_reply() {
        let all = [Some(7.0), Some(2.5), Some(10.0)];
        check_rated("1: 7\n2: 2.5\n3: 10", &all);
        check_rated("3: 10\n1: 7\n2: 2.5", &all);
        check_rated("**Solution 1**: 7/10\nSolution 2 - 2.5 / 10\n3) 10 out of 10", &all);
        check_rated("7, 2.5, 10", &all);
        check_rated("Ratings: 7, 2.5 and 10", &all);
        check_rated("23 + 6 = 29", &[None; 3]);
        check_rated("23 and 6 make 29", &[None; 3]);
        check_rated("7/10, 2.5/10, 10/10", &all);
        check_rated("7\n2.5\n10.", &all);
        check_rated("1: 3\n1: 7. It is better than I thought.", &[Some(7.0), None, None]);
        check_rated("2: 5", &[None, Some(5.0), None]);
        check_rated("4: 5\n0: 3", &[None; 3]);
        check_rated("1: -3", &[Some(-3.0), None, None]);
        check_rated("2, 7, 9", &[Some(2.0), Some(7.0), Some(9.0)]);
        check_rated("7, 8", &[None; 3]);
        check_rated("", &[None; 3]);
        check_rated("good", &[None; 3]);
        check_rated("1.5: 7", &[None; 3]);
    }
}
