//! Blocks of 256 weights whose parts have scales of their own, which are packed too.

use super::blocks::{Block, number, part};
use super::vector::{LANES, Vector};

pub(super) struct Q2K;
pub(super) struct Q3K;
pub(super) struct Q4K;
pub(super) struct Q5K;
pub(super) struct Q6K;

/// 16 scales and least weights of four bits each, 256 numbers of two bits, and the scales of both.
impl Block<84> for Q2K {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 84], mut with: impl FnMut(usize, V)) {
        let (scale, least) = (number::<V, 84>(block, 80), number::<V, 84>(block, 82));
        for upper in 0..2 {
            let twos = [0, LANES].map(|side| V::bytes(part(block, 16 + upper * 32 + side)));
            for quarter in 0..4 {
                for (side, twos) in twos.into_iter().enumerate() {
                    let n = upper * 8 + quarter * 2 + side;
                    let own = block[n];
                    let (scale, least) = (scale * f32::from(own & 15), -least * f32::from(own >> 4));
                    let twos = V::and(V::shift_right(twos, 2 * quarter as u32), 3);
                    with(n, V::floats(twos).times_plus(V::splat(scale), V::splat(least)));
                }
            }
        }
    }
}

/// The third bits of 256 numbers, their other two, 16 scales of six bits, and the scale of these.
impl Block<110> for Q3K {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 110], mut with: impl FnMut(usize, V)) {
        let scale = number::<V, 110>(block, 108);
        let thirds = [0, LANES].map(|side| V::bytes(part(block, side)));
        for upper in 0..2 {
            let twos = [0, LANES].map(|side| V::bytes(part(block, 32 + upper * 32 + side)));
            for quarter in 0..4 {
                for (side, twos) in twos.into_iter().enumerate() {
                    let n = upper * 8 + quarter * 2 + side;
                    let own = block[96 + n % 8] >> (upper * 4) & 15 | (block[104 + n % 4] >> (n / 4 * 2) & 3) << 4;
                    let scale = scale * f32::from(own.cast_signed() - 32);
                    let twos = V::and(V::shift_right(twos, 2 * quarter as u32), 3);
                    let third = V::and(V::shift_right(thirds[side], (upper * 4 + quarter) as u32), 1);
                    let threes = V::minus(V::or(twos, V::shift_left(third, 2)), 4);
                    with(n, V::floats(threes).times(V::splat(scale)));
                }
            }
        }
    }
}

/// The scale of scales and of least weights, eight of each in six bits, and 256 numbers of four bits.
impl Block<144> for Q4K {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 144], mut with: impl FnMut(usize, V)) {
        let scales = (number::<V, 144>(block, 0), number::<V, 144>(block, 2));
        for pair in 0..4 {
            let fours = [0, LANES].map(|side| V::bytes(part(block, 16 + pair * 32 + side)));
            let (scale, least) = scale_and_least::<V>(scales, part(block, 4), 2 * pair);
            for (side, fours) in fours.into_iter().enumerate() {
                with(pair * 4 + side, V::floats(V::and(fours, 15)).times_plus(scale, least));
            }
            let (scale, least) = scale_and_least::<V>(scales, part(block, 4), 2 * pair + 1);
            for (side, fours) in fours.into_iter().enumerate() {
                with(pair * 4 + 2 + side, V::floats(V::shift_right(fours, 4)).times_plus(scale, least));
            }
        }
    }
}

/// As `Q4_K`, with the fifth bits of all numbers before the other four.
impl Block<176> for Q5K {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 176], mut with: impl FnMut(usize, V)) {
        let scales = (number::<V, 176>(block, 0), number::<V, 176>(block, 2));
        let fifths = [0, LANES].map(|side| V::bytes(part(block, 16 + side)));
        let fifth = |side: usize, bit: usize| V::shift_left(V::and(V::shift_right(fifths[side], bit as u32), 1), 4);
        for pair in 0..4 {
            let fours = [0, LANES].map(|side| V::bytes(part(block, 48 + pair * 32 + side)));
            let (scale, least) = scale_and_least::<V>(scales, part(block, 4), 2 * pair);
            for (side, fours) in fours.into_iter().enumerate() {
                let fives = V::or(V::and(fours, 15), fifth(side, 2 * pair));
                with(pair * 4 + side, V::floats(fives).times_plus(scale, least));
            }
            let (scale, least) = scale_and_least::<V>(scales, part(block, 4), 2 * pair + 1);
            for (side, fours) in fours.into_iter().enumerate() {
                let fives = V::or(V::shift_right(fours, 4), fifth(side, 2 * pair + 1));
                with(pair * 4 + 2 + side, V::floats(fives).times_plus(scale, least));
            }
        }
    }
}

/// The scale of one of eight parts, and what is added to its weights.
#[inline(always)]
fn scale_and_least<V: Vector>((scale, least): (f32, f32), packed: &[u8; 12], part: usize) -> (V, V) {
    let (own_scale, own_least) = if part < 4 {
        (packed[part] & 63, packed[part + 4] & 63)
    } else {
        (packed[part + 4] & 15 | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4)
    };
    (V::splat(scale * f32::from(own_scale)), V::splat(-least * f32::from(own_least)))
}

/// The low four bits of 256 numbers, their other two, 16 scales of eight bits, and the scale of these.
impl Block<210> for Q6K {
    #[inline(always)]
    fn unpack<V: Vector>(block: &[u8; 210], mut with: impl FnMut(usize, V)) {
        let scale = number::<V, 210>(block, 208);
        for upper in 0..2 {
            let fours = [0, 16, 32, 48].map(|place| V::bytes(part(block, upper * 64 + place)));
            let twos = [0, 16].map(|place| V::bytes(part(block, 128 + upper * 32 + place)));
            for n in 0..8 {
                let fours = V::and(V::shift_right(fours[n % 4], n as u32 / 4 * 4), 15);
                let twos = V::and(V::shift_right(twos[n % 2], n as u32 / 2 * 2), 3);
                let own = scale * f32::from(block[192 + upper * 8 + n].cast_signed());
                let sixes = V::minus(V::or(fours, V::shift_left(twos, 4)), 32);
                with(upper * 8 + n, V::floats(sixes).times(V::splat(own)));
            }
        }
    }
}
