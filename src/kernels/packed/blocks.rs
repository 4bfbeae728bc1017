//! How blocks of packed weights become numbers, as llama.cpp lays them out.
//!
//! A number is what the format says exactly, rounded to f32 once: the products of scales and small whole numbers fit
//! into 24 bits, and what is added to them is added by a fused multiply-add. Only `Q6_K` multiplies twice.

use super::vector::{LANES, Vector};

/// A run of weights that is packed on its own.
pub(super) trait Block<const BYTES: usize> {
    /// Calls `with` on every sixteen weights, in order, and with how many came before.
    fn unpack<V: Vector>(block: &[u8; BYTES], with: impl FnMut(usize, V));
}

pub(super) struct F32;
pub(super) struct F16;
pub(super) struct Bf16;
pub(super) struct Q4_0;
pub(super) struct Q4_1;
pub(super) struct Q5_0;
pub(super) struct Q5_1;
pub(super) struct Q8_0;

impl Block<64> for F32 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 64], mut with: impl FnMut(usize, V)) {
        let numbers = block.as_chunks::<4>().0;
        with(0, V::load(&std::array::from_fn(|n| f32::from_le_bytes(numbers[n]))));
    }
}

impl Block<32> for F16 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 32], mut with: impl FnMut(usize, V)) {
        with(0, V::halves(block));
    }
}

impl Block<32> for Bf16 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 32], mut with: impl FnMut(usize, V)) {
        with(0, V::upper_halves(block));
    }
}

/// A scale and 32 numbers of four bits, stored eight too large.
impl Block<18> for Q4_0 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 18], mut with: impl FnMut(usize, V)) {
        let ((scale, _), fours) = (V::two_halves(part(block, 0)), V::bytes(part(block, 2)));
        with(0, V::floats(V::minus(V::and(fours, 15), 8)).times(scale));
        with(1, V::floats(V::minus(V::shift_right(fours, 4), 8)).times(scale));
    }
}

/// A scale, the least weight, and 32 numbers of four bits.
impl Block<20> for Q4_1 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 20], mut with: impl FnMut(usize, V)) {
        let ((scale, least), fours) = (V::two_halves(part(block, 0)), V::bytes(part(block, 4)));
        with(0, V::floats(V::and(fours, 15)).times_plus(scale, least));
        with(1, V::floats(V::shift_right(fours, 4)).times_plus(scale, least));
    }
}

/// A scale, the fifth bits of 32 numbers, and their other four; the numbers are stored sixteen too large.
impl Block<22> for Q5_0 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 22], mut with: impl FnMut(usize, V)) {
        let (scale, _) = V::two_halves(part(block, 0));
        let (lower, upper) = fives::<V>(part(block, 2), part(block, 6));
        with(0, V::floats(V::minus(lower, 16)).times(scale));
        with(1, V::floats(V::minus(upper, 16)).times(scale));
    }
}

/// As `Q5_0`, with the least weight in place of sixteen.
impl Block<24> for Q5_1 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 24], mut with: impl FnMut(usize, V)) {
        let (scale, least) = V::two_halves(part(block, 0));
        let (lower, upper) = fives::<V>(part(block, 4), part(block, 8));
        with(0, V::floats(lower).times_plus(scale, least));
        with(1, V::floats(upper).times_plus(scale, least));
    }
}

/// Numbers of five bits.
#[inline(always)]
fn fives<V: Vector>(fifths: &[u8; 4], fours: &[u8; LANES]) -> (V::Whole, V::Whole) {
    let (lower, upper) = (u16::from_le_bytes([fifths[0], fifths[1]]), u16::from_le_bytes([fifths[2], fifths[3]]));
    let (fours, fifth) = (V::bytes(fours), |bits| V::shift_left(V::bits(bits), 4));
    (V::or(V::and(fours, 15), fifth(lower)), V::or(V::shift_right(fours, 4), fifth(upper)))
}

/// A scale and 32 numbers of eight bits.
impl Block<34> for Q8_0 {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 34], mut with: impl FnMut(usize, V)) {
        let (scale, _) = V::two_halves(part(block, 0));
        with(0, V::floats(V::signed_bytes(part(block, 2))).times(scale));
        with(1, V::floats(V::signed_bytes(part(block, 18))).times(scale));
    }
}

/// The 16-bit number at an offset.
#[inline(always)]
pub(super) fn number<V: Vector, const BYTES: usize>(block: &[u8; BYTES], place: usize) -> f32 {
    V::half(u16::from_le_bytes([block[place], block[place + 1]]))
}

/// Some bytes from an offset on, which the block must have.
#[inline(always)]
pub(super) fn part<const LENGTH: usize, const BYTES: usize>(block: &[u8; BYTES], place: usize) -> &[u8; LENGTH] {
    block[place..].first_chunk().unwrap_or(&[0; LENGTH])
}
