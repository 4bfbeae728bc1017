//! Vectors of x86 processors: one register of AVX-512, or two of AVX2.
//!
//! Only functions that were compiled for these instructions, and that are called where the processor has them, use
//! these types (`formats`): their operations then become single instructions.

use std::arch::x86_64::*;

use super::vector::{LANES, Lanes, Vector};

#[derive(Clone, Copy)]
pub(super) struct Wide(__m512);

#[derive(Clone, Copy)]
pub(super) struct Narrow(__m256, __m256);

/// Both halves of 16 whole numbers.
#[derive(Clone, Copy)]
pub(super) struct Pair(__m256i, __m256i);

// SAFETY, for all blocks below: the processor has the instructions (see above), and what is loaded or stored is as long as
// the types say.

impl Vector for Wide {
    type Whole = __m512i;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        unsafe { Wide(_mm512_set1_ps(number)) }
    }

    #[inline(always)]
    fn load(numbers: &Lanes) -> Self {
        unsafe { Wide(_mm512_loadu_ps(numbers.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, numbers: &mut Lanes) {
        unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn times(self, factor: Self) -> Self {
        unsafe { Wide(_mm512_mul_ps(self.0, factor.0)) }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        unsafe { Wide(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(self.0)));
            sum(_mm256_add_ps(_mm512_castps512_ps256(self.0), upper))
        }
    }

    #[inline(always)]
    fn half(bits: u16) -> f32 {
        unsafe { half(bits) }
    }

    #[inline(always)]
    fn two_halves(bytes: &[u8; 4]) -> (Self, Self) {
        unsafe {
            let both = two_halves(bytes);
            let second = _mm512_permutexvar_ps(_mm512_set1_epi32(1), _mm512_castps128_ps512(both));
            (Wide(_mm512_broadcastss_ps(both)), Wide(second))
        }
    }

    #[inline(always)]
    fn halves(bytes: &[u8; 2 * LANES]) -> Self {
        unsafe { Wide(_mm512_cvtph_ps(_mm256_loadu_si256(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn upper_halves(bytes: &[u8; 2 * LANES]) -> Self {
        unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.as_ptr().cast()));
            Wide(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words)))
        }
    }

    #[inline(always)]
    fn bytes(bytes: &[u8; LANES]) -> Self::Whole {
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn signed_bytes(bytes: &[u8; LANES]) -> Self::Whole {
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    fn bits(bits: u16) -> Self::Whole {
        unsafe { _mm512_maskz_set1_epi32(bits, 1) }
    }

    #[inline(always)]
    fn and(whole: Self::Whole, mask: i32) -> Self::Whole {
        unsafe { _mm512_and_si512(whole, _mm512_set1_epi32(mask)) }
    }

    #[inline(always)]
    fn or(whole: Self::Whole, other: Self::Whole) -> Self::Whole {
        unsafe { _mm512_or_si512(whole, other) }
    }

    #[inline(always)]
    fn minus(whole: Self::Whole, number: i32) -> Self::Whole {
        unsafe { _mm512_sub_epi32(whole, _mm512_set1_epi32(number)) }
    }

    #[inline(always)]
    fn shift_left(whole: Self::Whole, bits: u32) -> Self::Whole {
        unsafe { _mm512_sllv_epi32(whole, _mm512_set1_epi32(bits.cast_signed())) }
    }

    #[inline(always)]
    fn shift_right(whole: Self::Whole, bits: u32) -> Self::Whole {
        unsafe { _mm512_srlv_epi32(whole, _mm512_set1_epi32(bits.cast_signed())) }
    }

    #[inline(always)]
    fn floats(whole: Self::Whole) -> Self {
        unsafe { Wide(_mm512_cvtepi32_ps(whole)) }
    }

    #[inline(always)]
    fn expect(place: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
    }
}

impl Vector for Narrow {
    type Whole = Pair;

    #[inline(always)]
    fn splat(number: f32) -> Self {
        let both = unsafe { _mm256_set1_ps(number) };
        Narrow(both, both)
    }

    #[inline(always)]
    fn load(numbers: &Lanes) -> Self {
        unsafe { Narrow(_mm256_loadu_ps(numbers.as_ptr()), _mm256_loadu_ps(numbers[8..].as_ptr())) }
    }

    #[inline(always)]
    fn store(self, numbers: &mut Lanes) {
        unsafe {
            _mm256_storeu_ps(numbers.as_mut_ptr(), self.0);
            _mm256_storeu_ps(numbers[8..].as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn times(self, factor: Self) -> Self {
        unsafe { Narrow(_mm256_mul_ps(self.0, factor.0), _mm256_mul_ps(self.1, factor.1)) }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        unsafe { Narrow(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { sum(_mm256_add_ps(self.0, self.1)) }
    }

    #[inline(always)]
    fn half(bits: u16) -> f32 {
        unsafe { half(bits) }
    }

    #[inline(always)]
    fn two_halves(bytes: &[u8; 4]) -> (Self, Self) {
        unsafe {
            let both = two_halves(bytes);
            let first = _mm256_broadcastss_ps(both);
            let second = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(both), _mm256_set1_epi32(1));
            (Narrow(first, first), Narrow(second, second))
        }
    }

    #[inline(always)]
    fn halves(bytes: &[u8; 2 * LANES]) -> Self {
        unsafe {
            let (lower, upper) = (bytes.as_ptr().cast(), bytes[LANES..].as_ptr().cast());
            Narrow(_mm256_cvtph_ps(_mm_loadu_si128(lower)), _mm256_cvtph_ps(_mm_loadu_si128(upper)))
        }
    }

    #[inline(always)]
    fn upper_halves(bytes: &[u8; 2 * LANES]) -> Self {
        unsafe {
            let (lower, upper) = (bytes.as_ptr().cast(), bytes[LANES..].as_ptr().cast());
            let lower = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(lower)));
            let upper = _mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(upper)));
            Narrow(_mm256_castsi256_ps(lower), _mm256_castsi256_ps(upper))
        }
    }

    #[inline(always)]
    fn bytes(bytes: &[u8; LANES]) -> Self::Whole {
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            Pair(_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes)))
        }
    }

    #[inline(always)]
    fn signed_bytes(bytes: &[u8; LANES]) -> Self::Whole {
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            Pair(_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes)))
        }
    }

    #[inline(always)]
    fn bits(bits: u16) -> Self::Whole {
        unsafe {
            let bits = _mm256_set1_epi32(i32::from(bits));
            let lower = _mm256_srlv_epi32(bits, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let upper = _mm256_srlv_epi32(bits, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
            Self::and(Pair(lower, upper), 1)
        }
    }

    #[inline(always)]
    fn and(whole: Self::Whole, mask: i32) -> Self::Whole {
        unsafe {
            let mask = _mm256_set1_epi32(mask);
            Pair(_mm256_and_si256(whole.0, mask), _mm256_and_si256(whole.1, mask))
        }
    }

    #[inline(always)]
    fn or(whole: Self::Whole, other: Self::Whole) -> Self::Whole {
        unsafe { Pair(_mm256_or_si256(whole.0, other.0), _mm256_or_si256(whole.1, other.1)) }
    }

    #[inline(always)]
    fn minus(whole: Self::Whole, number: i32) -> Self::Whole {
        unsafe {
            let number = _mm256_set1_epi32(number);
            Pair(_mm256_sub_epi32(whole.0, number), _mm256_sub_epi32(whole.1, number))
        }
    }

    #[inline(always)]
    fn shift_left(whole: Self::Whole, bits: u32) -> Self::Whole {
        unsafe {
            let bits = _mm256_set1_epi32(bits.cast_signed());
            Pair(_mm256_sllv_epi32(whole.0, bits), _mm256_sllv_epi32(whole.1, bits))
        }
    }

    #[inline(always)]
    fn shift_right(whole: Self::Whole, bits: u32) -> Self::Whole {
        unsafe {
            let bits = _mm256_set1_epi32(bits.cast_signed());
            Pair(_mm256_srlv_epi32(whole.0, bits), _mm256_srlv_epi32(whole.1, bits))
        }
    }

    #[inline(always)]
    fn floats(whole: Self::Whole) -> Self {
        unsafe { Narrow(_mm256_cvtepi32_ps(whole.0), _mm256_cvtepi32_ps(whole.1)) }
    }

    #[inline(always)]
    fn expect(place: *const u8) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
    }
}

/// Eight numbers, by halves.
#[inline(always)]
unsafe fn sum(eight: __m256) -> f32 {
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

#[inline(always)]
unsafe fn half(bits: u16) -> f32 {
    unsafe { _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(bits)))) }
}

#[inline(always)]
unsafe fn two_halves(bytes: &[u8; 4]) -> __m128 {
    unsafe { _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from_le_bytes(*bytes))) }
}
