//! Answers that are exactly equal get the same spelling, so votes count them together.

use lamas::task::AnswerForm;
use proptest::prelude::*;

/// An expression that can be written in two ways.
#[derive(Clone, Debug)]
enum Tree {
    Whole(i64),
    Fraction(i64, i64),
    /// A root, as its index and the number under it.
    Root(u32, u32),
    Letter(char),
    Sum(Box<Tree>, Box<Tree>),
    Difference(Box<Tree>, Box<Tree>),
    Product(Box<Tree>, Box<Tree>),
    Quotient(Box<Tree>, Box<Tree>),
    Power(Box<Tree>, u32),
}

use Tree::*;

impl Tree {
    fn plainly(&self) -> String {
        match self {
            Whole(number) => format!("({number})"),
            Fraction(above, below) => format!("\\frac{{{above}}}{{{below}}}"),
            Root(index, inside) => format!("\\sqrt[{index}]{{{inside}}}"),
            Letter(name) => name.to_string(),
            Sum(left, right) => format!("({}+{})", left.plainly(), right.plainly()),
            Difference(left, right) => format!("({}-{})", left.plainly(), right.plainly()),
            Product(left, right) => format!("{}\\cdot {}", left.plainly(), right.plainly()),
            Quotient(above, below) => format!("\\frac{{{}}}{{{}}}", above.plainly(), below.plainly()),
            Power(base, exponent) => format!("{{({})}}^{{{exponent}}}", base.plainly()),
        }
    }

    /// The same value in another order and form.
    fn otherwise(&self) -> String {
        match self {
            Whole(number) => format!("({}/3)", 3 * number),
            Fraction(above, below) => format!("({}/{})", -2 * above, -2 * below),
            Root(index, inside) => format!("\\frac{{\\sqrt[{index}]{{{}}}}}{{2}}", 2_u32.pow(*index) * inside),
            Letter(name) => format!("\\frac{{{name}^2}}{{{name}}}"),
            Sum(left, right) => format!("({}+{})", right.otherwise(), left.otherwise()),
            Difference(left, right) => format!("(-({})+{})", right.otherwise(), left.otherwise()),
            Product(left, right) => format!("({})({})", right.otherwise(), left.otherwise()),
            Quotient(above, below) => {
                let common = "\\sqrt{3}(x+\\sqrt{2})";
                format!("\\frac{{{common}({})}}{{{common}({})}}", above.otherwise(), below.otherwise())
            }
            Power(base, exponent) => vec![format!("({})", base.otherwise()); *exponent as usize].join("*"),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (-9_i64..10).prop_map(Whole),
        (-9_i64..10, 1_i64..10).prop_map(|(above, below)| Fraction(above, below)),
        prop::sample::select(vec![(2, 2), (2, 3), (2, 12), (2, 18), (3, 2), (3, 16)])
            .prop_map(|(index, inside)| Root(index, inside)),
        prop_oneof![Just('x'), Just('y')].prop_map(Letter),
    ];
    leaf.prop_recursive(3, 10, 2, |inner| {
        let pair = || (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            pair().prop_map(|(left, right)| Sum(left, right)),
            pair().prop_map(|(left, right)| Difference(left, right)),
            pair().prop_map(|(left, right)| Product(left, right)),
            pair().prop_map(|(above, below)| Quotient(above, below)),
            (inner.prop_map(Box::new), 1_u32..4).prop_map(|(base, exponent)| Power(base, exponent)),
        ]
    })
}

fn spelling(answer: &str) -> Option<String> {
    AnswerForm::Mathematics.extract(&format!("\\boxed{{{answer}}}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn exactly_equal_answers_have_one_spelling(tree in trees()) {
        let (left, right) = (tree.plainly(), tree.otherwise());
        // Divisions by zero have no value.
        prop_assume!(AnswerForm::Mathematics.equal(&left, &right));
        let spelled = spelling(&left);
        // An answer that would be very long keeps its original spelling.
        prop_assume!(!spelled.as_ref().is_some_and(|spelled| spelled.contains("\\frac")));
        prop_assert_eq!(&spelled, &spelling(&right), "{} and {}", left, right);
        prop_assert_eq!(&spelling(&spelled.clone().unwrap_or_default()), &spelled, "{}", left);
        prop_assert!(AnswerForm::Mathematics.equal(&left, &spelled.unwrap_or_default()));
    }

    #[test]
    fn sets_and_lists_have_one_spelling(ends in prop::collection::btree_set(-20_i64..20, 2..5), other: bool) {
        let ends: Vec<i64> = ends.into_iter().collect();
        let (low, high) = (ends[0], ends[ends.len() - 1]);
        let open = if other { ("(", ")", "]", "[", "<") } else { ("[", "]", "[", "]", "\\le") };
        let check = |answers: &[String]| {
            let spelled: Vec<_> = answers.iter().map(|answer| spelling(answer)).collect();
            prop_assert!(spelled.windows(2).all(|pair| pair[0] == pair[1]), "{:?}: {:?}", answers, spelled);
            Ok(())
        };
        check(&[
            format!("{}{low}, {high}{}", open.0, open.1),
            format!("{}{low};{high}{}", open.2, open.3),
            format!("{low} {0} x {0} {high}", open.4),
            format!("\\{{x \\mid {low} {0} x {0} {high}\\}}", open.4),
            format!("x \\in {}{}/2, {high}.0{}", open.0, 2 * low, open.1),
        ])?;
        let listed = |separator: &str| ends.iter().map(i64::to_string).collect::<Vec<_>>().join(separator);
        let excepted = ends.iter().rev().map(|end| format!("x \\ne {end}")).collect::<Vec<_>>().join(" \\text{ and } ");
        check(&[format!("\\mathbb{{R}}\\setminus\\{{{}\\}}", listed(",")), excepted, format!("x \\ne {}", listed(", "))])?;
        check(&[listed(", "), format!("\\{{{}\\}}", listed(", ")), listed(" \\text{ or } ")])?;
    }
}
