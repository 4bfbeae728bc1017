//! Build script: records the git revision that the program is built from, if there is one.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=scripts/build.rs");
    for place in [".git/HEAD", ".git/refs/heads"] {
        // With a path that does not exist, this script would run and the crate would compile every time.
        if Path::new(place).exists() {
            println!("cargo::rerun-if-changed={place}");
        }
    }
    let revision = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let revision = revision.ok().filter(|output| output.status.success());
    let text = revision.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=LAMAS_REVISION={}", text.trim());
}
