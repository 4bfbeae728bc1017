//! Linear equations with a positive definite matrix.

/// The lower Cholesky factor of a positive definite matrix, of which only the lower triangle is read, in its place.
pub fn factor(matrix: &mut [Vec<f64>]) {
    for row in 0..matrix.len() {
        let (above, rest) = matrix.split_at_mut(row);
        let own = &mut rest[0];
        for (column, other) in above.iter().enumerate() {
            own[column] = (own[column] - dot(&own[..column], &other[..column])) / other[column];
        }
        own[row] = (own[row] - dot(&own[..row], &own[..row])).sqrt();
    }
}

/// Solves `L L^T x = b` for a factor `L`.
pub fn solve(factor: &[Vec<f64>], b: Vec<f64>) -> Vec<f64> {
    backward(factor, forward(factor, b))
}

/// Solves `L x = b` for a factor `L`.
fn forward(factor: &[Vec<f64>], mut b: Vec<f64>) -> Vec<f64> {
    for row in 0..b.len() {
        b[row] = (b[row] - dot(&factor[row][..row], &b[..row])) / factor[row][row];
    }
    b
}

/// Solves `L^T x = b` for a factor `L`.
fn backward(factor: &[Vec<f64>], mut b: Vec<f64>) -> Vec<f64> {
    for row in (0..b.len()).rev() {
        b[row] /= factor[row][row];
        let own = b[row];
        b.iter_mut().zip(&factor[row][..row]).for_each(|(value, other)| *value -= own * other);
    }
    b
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
