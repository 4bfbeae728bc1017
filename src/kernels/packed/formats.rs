//! The formats of packed weights, and the kernels of each on each kind of processor.

use super::blocks::{Bf16, F16, F32, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
use super::product::{self, ABREAST};
use super::super_blocks::{Q2K, Q3K, Q4K, Q5K, Q6K};
use super::vector::{LANES, Lanes, Portable};
#[cfg(target_arch = "x86_64")]
use super::x86::{Narrow, Wide};

/// What the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Processor {
    Any,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Processor {
    /// All kinds whose work this one can do, the simplest first.
    pub fn kinds() -> Vec<Self> {
        [Processor::Any].into_iter().chain(Self::with_vectors()).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn with_vectors() -> impl Iterator<Item = Self> {
        use std::arch::is_x86_feature_detected as has;
        let narrow = has!("avx2") && has!("fma") && has!("f16c");
        let wide = narrow && has!("avx512f");
        narrow.then_some(Processor::Avx2).into_iter().chain(wide.then_some(Processor::Avx512))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn with_vectors() -> impl Iterator<Item = Self> {
        std::iter::empty()
    }

    /// This one.
    pub fn here() -> Self {
        Self::kinds().pop().unwrap_or(Processor::Any)
    }

    /// Rows of `x` times rows of weights, see [`product::products`].
    pub fn products(self, x: &[Lanes], weights: &[Lanes], width: usize, y: &mut [f32]) {
        match self {
            Processor::Any => product::products::<Portable, 2, 2>(x, weights, width, y),
            // SAFETY, here and below: `kinds` has found the instructions.
            #[cfg(target_arch = "x86_64")]
            Processor::Avx2 => unsafe { products_avx2(x, weights, width, y) },
            #[cfg(target_arch = "x86_64")]
            Processor::Avx512 => unsafe { products_avx512(x, weights, width, y) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn products_avx2(x: &[Lanes], weights: &[Lanes], width: usize, y: &mut [f32]) {
    product::products::<Narrow, 3, 2>(x, weights, width, y);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,avx512f")]
fn products_avx512(x: &[Lanes], weights: &[Lanes], width: usize, y: &mut [f32]) {
    product::products::<Wide, 6, 4>(x, weights, width, y);
}

macro_rules! formats {
    ($($name:ident, $kernels:ident, $bytes:literal, $weights:literal;)*) => {
        /// How weights are packed. The names are llama.cpp's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "the names of the formats")]
        pub enum Format {
            $($name,)*
        }

        $(mod $kernels {
            use super::*;

            const PARTS: usize = $weights / LANES;

            pub fn dot(processor: Processor, rows: [&[u8]; ABREAST], x: &[Lanes]) -> [f32; ABREAST] {
                match processor {
                    Processor::Any => product::dot::<Portable, $name, $bytes>(rows, x, PARTS),
                    #[cfg(target_arch = "x86_64")]
                    Processor::Avx2 => unsafe { dot_avx2(rows, x) },
                    #[cfg(target_arch = "x86_64")]
                    Processor::Avx512 => unsafe { dot_avx512(rows, x) },
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn dot_avx2(rows: [&[u8]; ABREAST], x: &[Lanes]) -> [f32; ABREAST] {
                product::dot::<Narrow, $name, $bytes>(rows, x, PARTS)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f")]
            fn dot_avx512(rows: [&[u8]; ABREAST], x: &[Lanes]) -> [f32; ABREAST] {
                product::dot::<Wide, $name, $bytes>(rows, x, PARTS)
            }

            pub fn unpack(processor: Processor, row: &[u8], weights: &mut [Lanes]) {
                match processor {
                    Processor::Any => product::unpack::<Portable, $name, $bytes>(row, weights, PARTS),
                    #[cfg(target_arch = "x86_64")]
                    Processor::Avx2 => unsafe { unpack_avx2(row, weights) },
                    #[cfg(target_arch = "x86_64")]
                    Processor::Avx512 => unsafe { unpack_avx512(row, weights) },
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn unpack_avx2(row: &[u8], weights: &mut [Lanes]) {
                product::unpack::<Narrow, $name, $bytes>(row, weights, PARTS);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,avx512f")]
            fn unpack_avx512(row: &[u8], weights: &mut [Lanes]) {
                product::unpack::<Wide, $name, $bytes>(row, weights, PARTS);
            }
        })*

        impl Format {
            #[cfg(test)]
            pub const ALL: &[Format] = &[$(Format::$name,)*];

            /// Bytes of a block, and its weights.
            const fn block(self) -> (usize, usize) {
                match self {
                    $(Format::$name => ($bytes, $weights),)*
                }
            }

            /// Products with rows of as many whole blocks as `x` has numbers for.
            pub(super) fn dot(self, processor: Processor, rows: [&[u8]; ABREAST], x: &[Lanes]) -> [f32; ABREAST] {
                match self {
                    $(Format::$name => $kernels::dot(processor, rows, x),)*
                }
            }

            /// The weights of a row of whole blocks.
            pub(super) fn unpack(self, processor: Processor, row: &[u8], weights: &mut [Lanes]) {
                match self {
                    $(Format::$name => $kernels::unpack(processor, row, weights),)*
                }
            }
        }
    };
}

formats! {
    F32, f32_rows, 64, 16;
    F16, f16_rows, 32, 16;
    Bf16, bf16_rows, 32, 16;
    Q4_0, q4_0, 18, 32;
    Q4_1, q4_1, 20, 32;
    Q5_0, q5_0, 22, 32;
    Q5_1, q5_1, 24, 32;
    Q8_0, q8_0, 34, 32;
    Q2K, q2_k, 84, 256;
    Q3K, q3_k, 110, 256;
    Q4K, q4_k, 144, 256;
    Q5K, q5_k, 176, 256;
    Q6K, q6_k, 210, 256;
}

impl Format {
    /// Bytes of a row of this many weights; None if blocks do not fill it, or memory could not hold it.
    pub fn row_bytes(self, weights: usize) -> Option<usize> {
        let (bytes, block) = match self {
            Format::F32 => (4, 1),
            Format::F16 | Format::Bf16 => (2, 1),
            packed => packed.block(),
        };
        if weights.is_multiple_of(block) { (weights / block).checked_mul(bytes) } else { None }
    }

    /// Bytes of the whole blocks that hold this many weights.
    pub(super) fn padded_bytes(self, weights: usize) -> usize {
        let (bytes, block) = self.block();
        weights.div_ceil(block) * bytes
    }
}
