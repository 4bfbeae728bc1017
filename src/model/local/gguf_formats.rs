//! The types of numbers in GGUF files: which have kernels, and what the others are called.

use anyhow::{Result, anyhow};
use candle_core::quantized::GgmlDType;

use crate::kernels::Format;

/// What llama.cpp calls the types of numbers that are not read here.
const UNKNOWN: [(u32, &str); 20] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// The kernels of a type of numbers.
///
/// # Errors
/// There are none.
pub fn format(kind: GgmlDType) -> Result<Format> {
    Ok(match kind {
        GgmlDType::F32 => Format::F32,
        GgmlDType::F16 => Format::F16,
        GgmlDType::BF16 => Format::Bf16,
        GgmlDType::Q4_0 => Format::Q4_0,
        GgmlDType::Q4_1 => Format::Q4_1,
        GgmlDType::Q5_0 => Format::Q5_0,
        GgmlDType::Q5_1 => Format::Q5_1,
        GgmlDType::Q8_0 => Format::Q8_0,
        GgmlDType::Q2K => Format::Q2K,
        GgmlDType::Q3K => Format::Q3K,
        GgmlDType::Q4K => Format::Q4K,
        GgmlDType::Q5K => Format::Q5K,
        GgmlDType::Q6K => Format::Q6K,
        GgmlDType::Q8_1 => return Err(refusal("Q8_1")),
        GgmlDType::Q8K => return Err(refusal("Q8_K")),
    })
}

fn refusal(found: &str) -> anyhow::Error {
    anyhow!(
        "expected weights as F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K, found {found}; hint: take \
         the model's file in Q4_K_M or Q8_0"
    )
}

/// What candle's refusal of a type of numbers means, if it is one.
pub fn unknown_format(error: &anyhow::Error) -> Option<anyhow::Error> {
    let text = error.to_string();
    let number: u32 = text.strip_prefix("unknown dtype for tensor ")?.parse().ok()?;
    let name = UNKNOWN.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    Some(refusal(&name.unwrap_or_else(|| format!("type {number}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_without_kernels_are_named() {
        let check = |number: u32, expected: &str| {
            let error = unknown_format(&anyhow!("unknown dtype for tensor {number}")).unwrap().to_string();
            assert!(error.contains(expected) && error.contains("Q4_0") && error.contains("hint: "), "{error}");
        };
        check(20, "found IQ4_NL;");
        check(39, "found MXFP4;");
        check(99, "found type 99;");
        assert!(unknown_format(&anyhow!("unexpected end of file")).is_none());
        assert!(format(GgmlDType::Q8K).unwrap_err().to_string().contains("found Q8_K;"));
    }
}
