//! What is done to each row, or each number, by itself.

use multiversion::multiversion;

/// `x / sqrt(mean(x^2) + epsilon) * weight`, for each row.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    for (x, y) in x.chunks_exact(weight.len()).zip(y.chunks_exact_mut(weight.len())) {
        let scale = 1.0 / (dot(x, x) / weight.len() as f32 + epsilon).sqrt();
        for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
            *y = x * scale * weight;
        }
    }
    y
}

/// As [`rms_norm`], in place: for the heads of one position.
pub fn rms_norm_in_place(x: &mut [f32], weight: &[f32], epsilon: f32) {
    x.copy_from_slice(&rms_norm(x, weight, epsilon));
}

/// `(x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias`, for each row, in place.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let width = weight.len() as f32;
    for x in x.chunks_exact_mut(weight.len()) {
        let mean = reduce(x, 0.0, |sum, x| sum + x) / width;
        x.iter_mut().for_each(|x| *x -= mean);
        let scale = 1.0 / (dot(x, x) / width + epsilon).sqrt();
        for ((x, weight), bias) in x.iter_mut().zip(weight).zip(bias) {
            *x = (*x * scale).mul_add(*weight, *bias);
        }
    }
}

/// `x Phi(x)`, with the distribution function of the normal law, in place.
///
/// The error function is Abramowitz and Stegun's 7.1.26, to 1.5e-7.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn gelu(x: &mut [f32]) {
    const HALF_ROOT: f32 = std::f32::consts::FRAC_1_SQRT_2;
    for x in x {
        let z = (*x * HALF_ROOT).abs();
        let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
        let mut series = 1.061_405_4;
        for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            series = t.mul_add(series, coefficient);
        }
        // Half of what lies beyond |x|, by the symmetry of the law.
        let beyond = 0.5 * t * series * exp(-z * z);
        *x *= if *x < 0.0 { beyond } else { 1.0 - beyond };
    }
}

/// `silu(gate) * up` for rows of gate and up side by side: (rows, 2 width) to (rows, width).
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn swiglu(x: &[f32], width: usize) -> Vec<f32> {
    let mut y = vec![0.0; x.len() / 2];
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = x.split_at(width);
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            *y = gate / (1.0 + exp(-gate)) * up;
        }
    }
    y
}

/// As [`swiglu`], with GELU by way of tanh: `x / (1 + exp(-2 u))` where `u = sqrt(2 / pi) (x + 0.044715 x^3)`.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn geglu(x: &[f32], width: usize) -> Vec<f32> {
    const TWICE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    let mut y = vec![0.0; x.len() / 2];
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = x.split_at(width);
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            let bent = (gate * gate * gate).mul_add(0.044_715, *gate);
            *y = gate / (1.0 + exp(-TWICE * bent)) * up;
        }
    }
    y
}

/// `cap tanh(x / cap)`, in place.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn soft_cap(x: &mut [f32], cap: f32) {
    capped(x, cap);
}

#[inline(always)]
fn capped(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * tanh(*x / cap));
}

/// To two units in the last place: a series for small numbers, whose difference of exponentials would lose digits.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = size * size;
    let mut series = -0.005_704_042_5;
    for coefficient in [0.020_637_862, -0.053_739_157, 0.133_314_31, -0.333_332_8] {
        series = square.mul_add(series, coefficient);
    }
    let near = (size * square).mul_add(series, size);
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    let size = if size < 0.625 { near } else { far };
    size.copysign(x)
}

/// `x *= factor`
pub fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

/// `x += y`
pub fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Turns pairs of dimensions of each head by the angles of one position: with `n` angles, the dimensions `i` and
/// `i + n` of the first `2 n`.
pub fn rotate(x: &mut [f32], head: usize, (cosines, sines): &(Vec<f32>, Vec<f32>)) {
    for head in x.chunks_exact_mut(head) {
        let (first, second) = head.split_at_mut(cosines.len());
        for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
        }
    }
}

/// Turns `x` into the [`softmax_numerators`] of `scale x`, after a [`soft_cap`] if there is one.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub(super) fn scaled_numerators(x: &mut [f32], scale: f32, cap: Option<f32>) -> f32 {
    x.iter_mut().for_each(|x| *x *= scale);
    if let Some(cap) = cap {
        capped(x, cap);
    }
    exponentials(x)
}

/// Turns `x` into `exp(x - max)` and gives the sum.
#[multiversion(targets("x86_64+avx+avx2+fma+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx+avx2+fma"))]
pub fn softmax_numerators(x: &mut [f32]) -> f32 {
    exponentials(x)
}

#[inline(always)]
fn exponentials(x: &mut [f32]) -> f32 {
    let max = reduce(x, f32::NEG_INFINITY, |max, x| if x > max { x } else { max });
    x.iter_mut().for_each(|x| *x = exp(*x - max));
    reduce(x, 0.0, |sum, x| sum + x)
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut lanes = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = a.mul_add(*b, *lane);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = a.mul_add(*b, *lane);
    }
    fold(lanes, |a, b| a + b)
}

/// Folds sixteen interleaved parts of `x`, then those.
#[inline(always)]
fn reduce(x: &[f32], start: f32, operation: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let mut lanes = [start; 16];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = operation(*lane, *x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane = operation(*lane, *x));
    fold(lanes, operation)
}

#[inline(always)]
fn fold(mut lanes: [f32; 16], operation: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = operation(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// `e^x` to about one unit in the last place: the standard library's differs from platform to platform, and no compiler
/// makes vectors of it.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to a whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let power = shifted - ROUND;
    let rest = power.mul_add(-LN_2_LOW, power.mul_add(-LN_2_HIGH, x));
    let mut series = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = rest.mul_add(series, coefficient);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_exact_to_the_last_places() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            let found = f64::from(exp(x));
            assert!((found / exact - 1.0).abs() < 2e-7, "exp({x}) = {exact}, found {found}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn normal_law_is_exact_to_seven_places() {
        // x Phi(x) from tables of the normal law.
        for (value, expected) in
            [(-4.0, -0.000_126_685), (-1.0, -0.158_655_25), (0.0, 0.0), (0.5, 0.345_731_23), (2.0, 1.954_499_7)]
        {
            let mut found = [value];
            gelu(&mut found);
            assert!((found[0] - expected).abs() < 5e-7, "gelu({value}) = {expected}, found {}", found[0]);
        }
    }

    #[test]
    fn caps_and_gates_are_exact_to_six_places() {
        for step in -3000..=3000 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - exact).abs() <= 3e-7 * exact.abs(), "tanh({x}) = {exact}, found {}", tanh(x));
            let wide = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (wide + 0.044_715 * wide.powi(3));
            let (exact, found) = (0.5 * wide * (1.0 + inner.tanh()), f64::from(geglu(&[x, 1.0], 1)[0]));
            assert!((found - exact).abs() <= 1e-6 * exact.abs().max(1.0), "gelu({x}) = {exact}, found {found}");
        }
        let mut capped = [0.0, 1.0, -400.0];
        soft_cap(&mut capped, 30.0);
        assert!((capped[1] - 0.999_629_75).abs() < 1e-6 && capped[0] == 0.0 && capped[2] == -30.0, "{capped:?}");
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn rows_are_normalised_by_themselves() {
        let mut rows = [1.0, 2.0, 3.0, 4.0, -7.0, -7.0, -7.0, -7.0];
        layer_norm(&mut rows, &[1.0, 1.0, 1.0, 2.0], &[0.0, 0.0, 0.0, 5.0], 1e-12);
        let half = 1.0 / 5f32.sqrt();
        let expected = [-3.0 * half, -half, half, 6.0 * half + 5.0, 0.0, 0.0, 0.0, 5.0];
        assert!(rows.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{rows:?}");
    }
}
