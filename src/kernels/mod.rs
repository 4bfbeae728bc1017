//! The arithmetic of networks on the CPU, in f32.
//!
//! Every sum is taken in a fixed order: vectors run across outputs, or across sixteen fixed parts of a sum, and a fused
//! multiply-add is fused on every machine. So a row's result has the same bits whatever rows stand beside it, whatever
//! the number of threads and whatever the width of the processor's vectors.

mod attention;
pub mod cholesky;
mod matrix;
mod packed;
mod pointwise;

pub use attention::{Heads, KeysAndValues, Run, attend};
pub use matrix::{Affine, Matrix, is_worth_sharing};
pub use packed::{Format, Packed, Rows};
pub use pointwise::{
    add, geglu, gelu, layer_norm, rms_norm, rms_norm_in_place, rotate, scale, soft_cap, softmax_numerators, swiglu,
};
