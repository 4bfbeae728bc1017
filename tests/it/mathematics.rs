//! Mathematical answers that are the same, and answers that are not, by kind of notation.

use lamas::task::AnswerForm;

/// Each line of `same` holds answers that are all the same, separated by ` == `; each line of `different` holds two
/// that are not.
#[track_caller]
fn check(same: &str, different: &str) {
    let form = AnswerForm::Mathematics;
    for line in same.lines().filter(|line| !line.is_empty()) {
        let answers: Vec<&str> = line.split(" == ").collect();
        assert!(answers.len() > 1, "{line}");
        for (left, right) in answers.iter().flat_map(|left| answers.iter().map(move |right| (left, right))) {
            assert!(form.equal(left, right), "{left} is {right}");
        }
    }
    for line in different.lines().filter(|line| !line.is_empty()) {
        let (left, right) = line.split_once(" == ").expect("two answers");
        assert!(!form.equal(left, right) && !form.equal(right, left), "{left} is not {right}");
    }
}

#[test]
fn thousands_are_no_lists() {
    check(
        r"
4,006 == 4006 == 4{,}006 == 4,\!006 == 4\,006 == 4 006 == x = 4,006 == (4,006)
7,300,050 == 7300050.0 == 73000.5 \times 10^2
(3, 120) == (3,120)
",
        r"
4,006 == 4,6
4,006 == 6,4
4,006 == (4,6)
4,006 == (4,0)
4,006 == 4.006
4,006 == 46
4,120 == 120,4
9,\!260 == 9, 260
y=6,000 == y=6,0
(8,000) == (8,0)
6000,000 == 6000, 0
5,000 == 0,5
6,000,000 == 600,000,0
",
    );
    // A list without its spaces is the same list, but only in the same order.
    let equal = |reference, answer| AnswerForm::Mathematics.equal(reference, answer);
    assert!(
        !equal("3,120", "3, 120") && equal("3, 120", "3,120") && !equal("120, 3", "3,120") && !equal("3, 6", "3,006")
    );
}

#[test]
fn times_are_no_ratios() {
    check(
        r"
9:05 == 09:05 == 9:05\text{ p.m.}
6:45\text{ a.m.} == 6:45 AM == 6:45 a.m. == 6:45 \text{am}
5:8 == 50:80 == \frac58 == 5\!:\!8
2:3:4 == 4:6:8
",
        r"
2:00 == 11:00
2:00 == 2:0
2:00 == 2
9:05 == 9:5
9:05 == 9:50
3:20 == 6:40
10:20 == 1:2
6:45\text{ a.m.} == 6:45\text{ p.m.}
6:45 == 6.45
5:8 == 8:5
5:8 == 58
2:3:4 == 2:4:3
",
    );
}

#[test]
fn units_and_angles_are_conventions() {
    check(
        r"
35\% == 35 pct == 35 \text{ per cent} == 35 \text{ pct.} == 35% == 35 percent
60^\circ == 60° == 60 degrees == 60\text{ degrees} == 60\degree == 60
\frac{\pi}{3} == 60^\circ
\ln 27 == 3\log 3 == 3\ln 3 == \log_e 27
",
        r"
35\% == 35.5\%
35\% == 3.5
60^\circ == 60\pi
60^\circ == \frac{\pi}{6}
\log_{10} 27 == 3\ln 3
",
    );
}

#[test]
fn roots_of_variables_are_powers() {
    check(
        r"
\sqrt{1/k} == \frac{1}{\sqrt k} == k^{-1/2} == \frac{\sqrt{k}}{k}
\sqrt[3]{t^2} == t^{2/3} == (\sqrt[3]{t})^2 == t^{\frac23}
\sqrt[5]{a^2b^3} == a^{2/5}b^{3/5}
\sqrt{9t^3} == 3t\sqrt t
\sqrt{t^2} == |t|
\sqrt{t^4} == t^2
\sqrt[3]{-t} == -\sqrt[3]{t}
\sqrt{\frac{p}{q}} == \frac{\sqrt p}{\sqrt q}
\frac{1}{\sqrt{k+2}} == \sqrt{\frac{1}{k+2}} == \frac{\sqrt{k+2}}{k+2}
3^{k+1} == 3\cdot 3^k
9^k == 3^{2k} == (3^k)^2
\sqrt{11+6\sqrt2} == 3+\sqrt2
",
        r"
\sqrt{1/k} == \frac1k
\sqrt{t^2} == t
\sqrt[3]{t^2} == \sqrt{t^3}
\sqrt[4]{t^2} == \sqrt t
\sqrt{(t-2)^2} == t-2
\ln t^2 == 2\ln t
3^{k+1} == 6\cdot 3^k
\sqrt{11-6\sqrt2} == \sqrt2-3
",
    );
}

#[test]
fn sets_of_numbers_are_the_same_in_every_notation() {
    check(
        r"
9 == =9 == = 9 == {}=9 == x = 9
(-\infty,4) == ]-\infty,4[ == \left]-\infty,4\right[ == ]-\infty;4[ == x<4 == 4>x == \{x \mid x<4\} == 2x < 8
[1,6) == [1, 6[ == \left[1,6\right[ == 1 \le x < 6 == 6 > x \ge 1 == x \ge 1 \text{ and } x < 6 == x\in[1,6)
(1,6] == ]1,6] == \left]1,6\right]
(-\infty,-2]\cup[7,\infty) == ]-\infty,-2] \cup [7,+\infty[ == x\le -2 \text{ or } x \ge 7 == [7,\infty) U (-\infty,-2]
\mathbb{R} == \mathbb R == ℝ == (-\infty,\infty) == \text{all real numbers} == x \in \mathbb{R} == \text{all reals}
x \ne 4 == 4 \ne x == \mathbb{R}\setminus\{4\} == \mathbb{R} - \{4\} == (-\infty,4)\cup(4,\infty) == ]-\infty,4[\cup]4,\infty[
x \ne 4 == x \in \mathbb{R} \backslash \{4\} == \{x \in \mathbb{R} : x \neq 4\}
x \ne \pm 4 == \mathbb{R}\setminus\{-4, 4\} == x \ne 4, x \ne -4 == x \ne 4, -4
[1,4]\cup[4,6] == [1,6]
[1,6]\setminus\{4\} == [1,4)\cup(4,6]
(1,6)\cap(4,9) == (4,6)
\emptyset == \varnothing == \{\} == ∅ == \text{no solution} == \text{no real solutions}
",
        r"
9 == =8
9 == \approx 9
9 == \ge 9
[1,6] == ]1,6[
(1,6) == ]1,6]
\mathbb{R} == \mathbb{Z}
\mathbb{R} == R
\mathbb{R} == \mathbb{R}\setminus\{0\}
x \ne 4 == x = 4
x \ne 4 == 4
x \ne 4 == x \ne 5
x \ne 4 == y \ne 4
x<4 == y<4
x<4 == x \le 4
1<x<6 == x>1 \text{ or } x<6
(0,0) == [1,1)
(4,\infty] == (4,\infty)
\emptyset == 0
",
    );
}

#[test]
fn decimals_repeat_in_every_notation() {
    check(
        r"
\frac{7}{12} == 0.58\overline{3} == 0.58\bar{3} == 0.58\bar3 == 0.58\dot{3} == 0.58(3) == 0.58333... == 0.58333\ldots
\frac{5}{11} == 0.\overline{45} == .\overline{45} == 0.\dot{4}\dot{5} == 0.(45) == 0.4545... == 0.{\overline{45}}
\frac{2}{7} == 0.\overline{285714} == 0.\dot{2}8571\dot{4}
-\frac43 == -1.\overline{3} == -1\frac13 == -1.(3)
",
        r"
\frac{5}{11} == 0.45
\frac{5}{11} == 0.4545
\frac{5}{11} == 0.4\overline{5}
\frac{5}{11} == 0.\overline{54}
\pi == 3.1415...
0.58\dot{3} == 0.\dot{5}8\dot{3}
",
    );
    check(
        "4\u{bd} == \\frac92 == 4.5 == 4 \u{bd} == 4\\frac12\n0.4\u{305} == 0.4\u{307} == \\frac49",
        "4\u{bd} == \\frac42",
    );
}

#[test]
fn factorials_and_combinations_are_worked_out() {
    check(
        r"
\binom{9}{4} == 126 == \frac{9!}{4!5!} == {9 \choose 4} == _9C_4 == {}_{9}C_{4} == ^9C_4 == C(9,4) == 9C4 == \dbinom95
\binom{k+1}{2} == \frac{k(k+1)}{2} == \binom{k+1}{k-1}
\binom{n}{k} == \frac{n!}{k!(n-k)!} == \binom{n}{n-k}
(k+2)! == (k+2)(k+1)k!
\frac{k!}{(k-2)!} == k(k-1)
8!! == 384
3!4! == 144 == 3! \cdot 4!
",
        r"
\binom{9}{4} == \frac94
\binom{k+1}{2} == \frac{k(k-1)}{2}
(k+1)! == k!+1
8!! == (8!)!
6!! == 720
9! == 9
",
    );
}

#[test]
fn numerals_have_digits_beyond_nine() {
    check(
        r"
2C9_{16} == 2c9_{16} == (2C9)_{16} == \text{2C9}_{16} == 2C9_{\text{sixteen}} == 2C9_{\text{hex}}
4B_{12} == 4b_{12}
CAFE_{16} == cafe_{16}
1101_2 == 1101₂ == 1101_{\text{two}}
x^{12} == x¹²
10^{-4} == 10⁻⁴
",
        r"
2C9_{16} == 2C8_{16}
2C9_{16} == 2C9_{17}
2C9_{16} == 9C2_{16}
1101_2 == 1101_3
x^{12} == x^{21}
",
    );
    let equal = |reference, answer| AnswerForm::Mathematics.equal(reference, answer);
    assert!(equal("2C9_{16}", "2C9") && equal("2C9", "2c9_{16}") && !equal("2C9_{16}", "2C8"));
}

#[test]
fn relations_are_turned_and_scaled() {
    check(
        r"
p \le q == q \ge p == 3p \le 3q == p - q \le 0 == -p \ge -q
p < q < r == r > q > p
y > 3x-1 == 3x - y < 1 == 3x-1 < y
4x+2y=10 == y = 5-2x == 2x + y - 5 = 0
",
        r"
p \le q == p \ge q
p \le q == p < q
-p \le -q == p \le q
y > 3x-1 == y \ge 3x-1
4x+2y=10 == 2x+y=10
",
    );
}

#[test]
fn angles_are_worked_out() {
    check(
        r"
\tan^{-1}(\sqrt3) == \arctan\sqrt3 == \frac{\pi}{3}
\sin^{-1}\frac12 == \frac{\pi}{6}
\sin 15^\circ == \frac{\sqrt6-\sqrt2}{4}
\cos 72^\circ == \frac{\sqrt5-1}{4}
\cos 2t == 1-2\sin^2 t == \cos^2 t-\sin^2 t
|1-\sqrt3| == \sqrt3-1
|5+12i| == 13
",
        r"
\arctan\frac12 == \frac{1}{\tan\frac12}
\sin 2t == 2\sin t
\sin t^2 == \sin^2 t
|1-\sqrt3| == 1-\sqrt3
",
    );
}
