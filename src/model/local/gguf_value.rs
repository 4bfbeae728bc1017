//! Values of the metadata of GGUF files.

use candle_core::quantized::gguf_file::Value;

/// A number, of any type that files use for it.
pub fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::I8(value) => u64::try_from(*value).ok(),
        Value::I16(value) => u64::try_from(*value).ok(),
        Value::I32(value) => u64::try_from(*value).ok(),
        Value::I64(value) => u64::try_from(*value).ok(),
        value => value.to_u64().ok(),
    }
}
