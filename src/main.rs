//! The `lamas` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lamas::cli::main()
}
