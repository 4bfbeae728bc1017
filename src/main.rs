//! The `lamas` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { lamas::device::settle_thread_count() };
    lamas::cli::main()
}
