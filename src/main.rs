//! The program `lamas`.

fn main() {}
