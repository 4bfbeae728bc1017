//! Build script: notes the git revision that the program is built from, where there is one.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=scripts/build.rs");
    for place in [".git/HEAD", ".git/refs/heads"] {
        // A path that does not exist would run this script, and compile the crate, every time.
        if Path::new(place).exists() {
            println!("cargo::rerun-if-changed={place}");
        }
    }
    let revision = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let revision = revision.ok().filter(|output| output.status.success());
    let text = revision.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=LAMAS_REVISION={}", text.trim());
}
