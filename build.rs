//! Notes the git revision that the program is built from, where there is one.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
    let revision = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    let revision = revision.ok().filter(|output| output.status.success());
    let text = revision.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    println!("cargo::rustc-env=LAMAS_REVISION={}", text.trim());
}
