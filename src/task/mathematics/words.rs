//! The meaning of runs of letters: words, units, functions, Greek letters or adjacent variables.

use super::expression::Expression;

/// Functions of one argument.
pub(super) const FUNCTIONS: [&str; 27] = [
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "sinh",
    "cosh", "tanh", "log", "ln", "lg", "exp", "abs", "floor", "ceil", "gcd", "lcm", "max", "min", "overline",
];

const GREEK: [&str; 24] = [
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "omicron", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
];

/// Units of measure, each with its other spellings.
const MEASURES: [&[&str]; 40] = [
    &["percent", "percents", "%", "percentage", "pct", "per cent"],
    &["degrees", "degree", "deg", "°"],
    &["radians", "radian", "rad"],
    &["dollars", "dollar", "usd", "$", "bucks"],
    &["cents", "cent", "¢"],
    &["euros", "euro"],
    &["pounds", "pound", "lb", "lbs"],
    &["ounces", "ounce", "oz"],
    &["tons", "ton"],
    &["millimeters", "millimeter", "mm", "millimetre", "millimetres"],
    &["centimeters", "centimeter", "cm", "cms", "centimetre", "centimetres"],
    &["meters", "meter", "m", "metre", "metres"],
    &["kilometers", "kilometer", "km", "kms", "kilometre", "kilometres"],
    &["inches", "inch", "in"],
    &["feet", "foot", "ft"],
    &["yards", "yard", "yd", "yds"],
    &["miles", "mile", "mi"],
    &["grams", "gram", "g"],
    &["kilograms", "kilogram", "kg", "kgs"],
    &["milligrams", "milligram", "mg"],
    &["liters", "liter", "l", "litre", "litres"],
    &["milliliters", "milliliter", "ml", "millilitre", "millilitres"],
    &["gallons", "gallon", "gal"],
    &["quarts", "quart", "qt"],
    &["pints", "pint"],
    &["cups", "cup"],
    &["tablespoons", "tablespoon", "tbsp"],
    &["teaspoons", "teaspoon", "tsp"],
    &["seconds", "second", "sec", "secs", "s"],
    &["minutes", "minute", "min", "mins"],
    &["hours", "hour", "hr", "hrs", "h"],
    &["days", "day"],
    &["weeks", "week"],
    &["months", "month"],
    &["years", "year", "yr", "yrs"],
    &["miles per hour", "mph", "miles/hour", "mi/h"],
    &["kilometers per hour", "kph", "km/h", "km/hr", "kmh"],
    &["am", "a m"],
    &["pm", "p m"],
    &["units", "unit"],
];

const SHORT_WORDS: [&str; 27] = [
    "yes", "odd", "and", "all", "not", "non", "one", "two", "six", "ten", "red", "the", "for", "any", "day", "way",
    "or", "no", "per", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "boy",
];

/// What a run of letters outside `\text` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run<'a> {
    Function(&'a str),
    Constant(&'a str),
    Root,
    Word,
    /// Adjacent variables.
    Letters,
}

/// Classifies a run. `after_value` says whether something with a value precedes it, so that `cm` may be its unit.
pub(super) fn classify(run: &str, after_value: bool) -> Run<'_> {
    let lower = run.to_lowercase();
    match run {
        "sqrt" => return Run::Root,
        "inf" | "infinity" | "infty" | "oo" => return Run::Constant("infinity"),
        "asin" => return Run::Function("arcsin"),
        "acos" => return Run::Function("arccos"),
        "atan" => return Run::Function("arctan"),
        _ => {}
    }
    if GREEK.contains(&run) {
        Run::Constant(run)
    } else if FUNCTIONS.contains(&run) && !(after_value && measure(run).is_some()) {
        Run::Function(run)
    } else if (after_value && run.len() > 1 && measure(&lower).is_some())
        || SHORT_WORDS.contains(&lower.as_str())
        || is_word(&lower)
    {
        Run::Word
    } else {
        Run::Letters
    }
}

/// Four letters or more with a vowel, unless they look like adjacent variables.
fn is_word(lower: &str) -> bool {
    let is_vowel = |letter: char| "aeiouy".contains(letter);
    let is_variable = |letter: char| "abcdwxyz".contains(letter);
    lower.chars().count() >= 4 && lower.chars().any(is_vowel) && !lower.chars().all(is_variable)
}

/// The usual name of a unit of measure; `None` for other words, which only say what was counted.
pub(super) fn measure(unit: &str) -> Option<String> {
    let lower = unit.trim().trim_end_matches('.').to_lowercase();
    let named = |name: &str| MEASURES.iter().find(|names| names.contains(&name)).map(|names| names[0]);
    let (power, rest) = match lower.split_once(' ') {
        Some(("square" | "sq" | "sq.", rest)) => ("^2", rest),
        Some(("cubic" | "cu" | "cu.", rest)) => ("^3", rest),
        _ => match lower.split_once('^') {
            Some((rest, "2")) => ("^2", rest),
            Some((rest, "3")) => ("^3", rest),
            _ => ("", lower.as_str()),
        },
    };
    let name = named(rest.trim())?;
    // The question tells lengths, areas and volumes in unnamed units apart; the answer need not.
    (name != "units").then(|| format!("{name}{power}"))
}

/// The digits of a base written as a word.
pub(super) fn base(word: &str) -> Option<&'static str> {
    Some(match word.to_lowercase().as_str() {
        "two" | "bin" | "binary" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" | "oct" | "octal" => "8",
        "nine" => "9",
        "ten" | "dec" | "decimal" => "10",
        "eleven" => "11",
        "twelve" => "12",
        "sixteen" | "hex" | "hexadecimal" => "16",
        _ => return None,
    })
}

/// The inverse of a function, which is written as the function to the power of minus one.
pub(super) fn inverse(function: &str) -> Option<&'static str> {
    Some(match function {
        "sin" => "arcsin",
        "cos" => "arccos",
        "tan" => "arctan",
        "cot" => "arccot",
        "sec" => "arcsec",
        "csc" => "arccsc",
        _ => return None,
    })
}

/// The set that an answer consisting only of words names.
pub(super) fn meaning(words: &str) -> Option<Expression> {
    let lower = words.to_lowercase();
    let bare = lower.strip_prefix("the ").unwrap_or(&lower);
    match bare {
        "empty set" | "no solution" | "no solutions" | "no real solution" | "no real solutions" | "none" => {
            Some(Expression::List(Vec::new()))
        }
        "all real numbers" | "all reals" | "real numbers" | "reals" | "any real number" | "all real number" => {
            Some(Expression::Symbol("ℝ".into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_letters_are_told_apart() {
        let check = |run, after, expected| assert_eq!(classify(run, after), expected, "{run}");
        check("ab", true, Run::Letters);
        check("abcd", true, Run::Letters);
        check("ACF", false, Run::Letters);
        check("cm", true, Run::Word);
        check("cm", false, Run::Letters);
        check("students", true, Run::Word);
        check("pi", true, Run::Constant("pi"));
        check("min", true, Run::Word);
        check("cos", true, Run::Function("cos"));
    }

    #[test]
    fn units_have_one_name() {
        let check = |unit, name: Option<&str>| assert_eq!(measure(unit).as_deref(), name, "{unit}");
        check("Inch", Some("inches"));
        check("sq cm", Some("centimeters^2"));
        check("inches^2", Some("inches^2"));
        check("square units", None);
        check("ways", None);
        check("mph", Some("miles per hour"));
    }
}
