//! Sixteen numbers at once: the kernels are written in these, for any processor.
//!
//! Every operation has the same bits on all of them: additions and products are those of IEEE 754, a fused multiply-add
//! is fused, and sums are taken in one order.

/// Numbers of a vector.
pub(super) const LANES: usize = 16;

pub(super) type Lanes = [f32; LANES];

/// Sixteen numbers.
pub(super) trait Vector: Copy {
    /// Sixteen whole numbers.
    type Whole: Copy;

    fn splat(number: f32) -> Self;
    fn load(numbers: &Lanes) -> Self;
    fn store(self, numbers: &mut Lanes);
    fn times(self, factor: Self) -> Self;
    /// `self * factor + addend`, rounded once.
    fn times_plus(self, factor: Self, addend: Self) -> Self;
    /// The upper eight added to the lower eight, of these the upper four to the lower four, and so on.
    fn sum(self) -> f32;
    fn half(bits: u16) -> f32;
    /// Each of two numbers of 16 bits, sixteen times.
    fn two_halves(bytes: &[u8; 4]) -> (Self, Self);
    fn halves(bytes: &[u8; 2 * LANES]) -> Self;
    /// Numbers of 16 bits that are the upper halves of an f32.
    fn upper_halves(bytes: &[u8; 2 * LANES]) -> Self;

    fn bytes(bytes: &[u8; LANES]) -> Self::Whole;
    fn signed_bytes(bytes: &[u8; LANES]) -> Self::Whole;
    /// Each bit of `bits`, the lowest first, as 0 or 1.
    fn bits(bits: u16) -> Self::Whole;
    fn and(whole: Self::Whole, mask: i32) -> Self::Whole;
    fn or(whole: Self::Whole, other: Self::Whole) -> Self::Whole;
    fn minus(whole: Self::Whole, number: i32) -> Self::Whole;
    fn shift_left(whole: Self::Whole, bits: u32) -> Self::Whole;
    fn shift_right(whole: Self::Whole, bits: u32) -> Self::Whole;
    fn floats(whole: Self::Whole) -> Self;

    /// Prefetches the bytes at an address; there need not be any.
    #[inline(always)]
    fn expect(_place: *const u8) {}
}

/// For any processor.
#[derive(Clone, Copy)]
pub(super) struct Portable(Lanes);

impl Vector for Portable {
    type Whole = [i32; LANES];

    #[inline(always)]
    fn splat(number: f32) -> Self {
        Portable([number; LANES])
    }

    #[inline(always)]
    fn load(numbers: &Lanes) -> Self {
        Portable(*numbers)
    }

    #[inline(always)]
    fn store(self, numbers: &mut Lanes) {
        *numbers = self.0;
    }

    #[inline(always)]
    fn times(self, factor: Self) -> Self {
        Portable(std::array::from_fn(|n| self.0[n] * factor.0[n]))
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        Portable(std::array::from_fn(|n| self.0[n].mul_add(factor.0[n], addend.0[n])))
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        let eight: [f32; 8] = std::array::from_fn(|n| self.0[n] + self.0[n + 8]);
        let four: [f32; 4] = std::array::from_fn(|n| eight[n] + eight[n + 4]);
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[inline(always)]
    fn half(bits: u16) -> f32 {
        half::f16::from_bits(bits).to_f32()
    }

    #[inline(always)]
    fn two_halves(bytes: &[u8; 4]) -> (Self, Self) {
        let half = |n: usize| Self::splat(Self::half(u16::from_le_bytes([bytes[n], bytes[n + 1]])));
        (half(0), half(2))
    }

    #[inline(always)]
    fn halves(bytes: &[u8; 2 * LANES]) -> Self {
        Portable(std::array::from_fn(|n| Self::half(u16::from_le_bytes([bytes[2 * n], bytes[2 * n + 1]]))))
    }

    #[inline(always)]
    fn upper_halves(bytes: &[u8; 2 * LANES]) -> Self {
        Portable(std::array::from_fn(|n| f32::from_le_bytes([0, 0, bytes[2 * n], bytes[2 * n + 1]])))
    }

    #[inline(always)]
    fn bytes(bytes: &[u8; LANES]) -> Self::Whole {
        bytes.map(i32::from)
    }

    #[inline(always)]
    fn signed_bytes(bytes: &[u8; LANES]) -> Self::Whole {
        bytes.map(|byte| i32::from(byte.cast_signed()))
    }

    #[inline(always)]
    fn bits(bits: u16) -> Self::Whole {
        std::array::from_fn(|n| i32::from(bits >> n & 1))
    }

    #[inline(always)]
    fn and(whole: Self::Whole, mask: i32) -> Self::Whole {
        whole.map(|number| number & mask)
    }

    #[inline(always)]
    fn or(whole: Self::Whole, other: Self::Whole) -> Self::Whole {
        std::array::from_fn(|n| whole[n] | other[n])
    }

    #[inline(always)]
    fn minus(whole: Self::Whole, number: i32) -> Self::Whole {
        whole.map(|own| own - number)
    }

    #[inline(always)]
    fn shift_left(whole: Self::Whole, bits: u32) -> Self::Whole {
        whole.map(|number| number << bits)
    }

    #[inline(always)]
    fn shift_right(whole: Self::Whole, bits: u32) -> Self::Whole {
        whole.map(|number| number >> bits)
    }

    #[inline(always)]
    fn floats(whole: Self::Whole) -> Self {
        Portable(whole.map(|number| number as f32))
    }
}
