#!/usr/bin/env bash
# The test command of the README: format, lints, tests, documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
cargo test --locked
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
echo "all checks passed"
