#!/usr/bin/env bash
# Builds the Python package, installs it into a fresh virtual environment, and checks and measures it there.
#
# WHEEL=FILE checks a wheel that is there already. MATURIN_PEP517_ARGS="--profile dev" builds quickly; its times mean nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

if [ -z "${WHEEL:-}" ]; then
    cargo clippy --locked --lib --bins --features python,sandbox-helper -- -D warnings
    # By this interpreter, not by one in a new folder each time: cargo would compile everything that knows it again.
    python3 -m pip wheel --quiet --no-deps --wheel-dir "$place" .
    WHEEL=$(echo "$place"/lamas-*.whl)
    mkdir -p "${CARGO_TARGET_DIR:-target}/wheels" && cp "$WHEEL" "${CARGO_TARGET_DIR:-target}/wheels/"
fi
echo "wheel: $(basename "$WHEEL"), $(stat -c %s "$WHEEL") bytes"
[ "$(stat -c %s "$WHEEL")" -lt 30000000 ] || { echo "expected a wheel below 30 MB"; exit 1; }

python3 -m venv "$place/venv"
export PATH="$place/venv/bin:$PATH" VIRTUAL_ENV="$place/venv" XDG_STATE_HOME="$place/state" XDG_CACHE_HOME="$place/cache"
pip install --quiet "$WHEEL[arrays]" mypy langgraph

# From here on nothing of the source tree is used but the examples.
cd "$place"
cp "$root"/tests/embedding/*.py "$root/scripts/python_speed.py" .
# A tenth of the built-in workload, so that this takes seconds.
mkdir small
cp "$root"/data/arithmetic/{benchmark,catalogue}.toml small
for split in train validation test hard; do head -n 240 "$root/data/arithmetic/$split.jsonl" > "small/$split.jsonl"; done
lamas train --benchmark small --out runs/wide --latency-weights 0.0003125..0.02 --device cpu > train.txt
tail -n 12 train.txt
question="a hall has 432 rows of 6 seats . how many seats are in the hall ?"
python answer.py runs/wide "$question" 60tokens
python session.py runs/wide "$question" 60tokens
python langgraph_session.py sums | tail -n 1
mypy --strict answer.py session.py langgraph_session.py
mypy --strict -p lamas
python check.py runs/wide
python python_speed.py runs/wide
echo "all checks of the Python package passed"
