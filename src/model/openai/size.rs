//! Estimates how many tokens a text has.

/// Text of `size` bytes in tokens, as English goes.
pub(super) fn likely(size: u64) -> u64 {
    size.div_ceil(4)
}
