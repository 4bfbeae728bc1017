#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: compares the device with the CPU, runs the main job and the benchmarks on it, and appends
# the results to tests/perf/RESULTS.md. Uses no network.
#   scripts/gpu_check.sh [--device cuda|metal|cpu] [--binaries DIR]
# If this machine has no compiler, --binaries takes lamas, it, training, encoder and generation from a folder where they were
# put elsewhere by `scripts/gpu_check.sh --collect DIR`. LAMAS_MINILM names a folder with all-MiniLM-L6-v2, if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
device=cuda binaries= collect=
while [ $# -gt 0 ]; do
  case $1 in
    --device) device=$2 ;;
    --binaries) binaries=$2 ;;
    --collect) collect=$2 ;;
    *) echo "expected --device, --binaries or --collect, found $1" >&2; exit 1 ;;
  esac
  shift 2
done
features=()
case $device in cuda | metal) features=(--features "$device") ;; esac

# The executables of a cargo command, one "name path" per line.
executables() {
  cargo "$@" --locked --message-format json "${features[@]}" |
    python3 -c 'import json, sys
for line in sys.stdin:
    found = json.loads(line)
    if found.get("executable"): print(found["target"]["name"], found["executable"])'
}

if [ -z "$binaries" ]; then
  binaries=${collect:-$(mktemp -d)}
  mkdir -p "$binaries"
  {
    executables build --release
    executables test --release --no-run --test it
    executables bench --no-run --bench training --bench encoder --bench generation
  } | while read -r name path; do cp "$path" "$binaries/$name"; done
  if [ -n "$collect" ]; then exit 0; fi
fi

machine=$(sed -n 's/^model name.*: //p' /proc/cpuinfo 2>/dev/null | sort | uniq -c | sed 's/^ *//' | head -1 || true)
driver=-
if [ "$device" = cuda ]; then
  machine="$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1), $machine"
  driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)
fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
results=tests/perf/RESULTS.md
row() { # command, figures
  printf '| %s | %s | %s | `%s` | %s |\n' "$machine" "$driver" "$commit" "$1" "$2" | tee -a "$results"
}
printf '\n## Device check on %s\n\n| machine | driver | commit | command | figures |\n|---|---|---|---|---|\n' "$device" | tee -a "$results"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests=$("$binaries/it" devices:: --nocapture 2>&1) || { echo "$tests"; exit 1; }
if grep -q skipped <<< "$tests" && [ "$device" != cpu ]; then echo "expected a device, found none: $tests" >&2; exit 1; fi
row "it devices::" "$(grep -o 'ok\. [0-9]* passed' <<< "$tests"), $(grep -c skipped <<< "$tests" || true) skipped"

for place in "$device" cpu; do
  begun=$(date +%s.%N)
  "$binaries/lamas" --device "$place" --out "$work/$place" --json > "$work/$place.json"
  seconds=$(python3 -c "print(f'{$(date +%s.%N) - $begun:.1f}')")
  figures=$(python3 - "$work/$place.json" <<'PY'
import json, sys
ours = json.load(open(sys.argv[1]))[-1]["summary"]
print(", ".join(f"{name} {ours[name]['mean']:.4f}" for name in ("score", "path", "utility")))
PY
)
  row "lamas --device $place" "$seconds s; $figures"
  if [ "$device" = cpu ]; then break; fi
done

# "name median" for every line that divan prints.
medians() {
  awk -F'│' '/[0-9] (ns|µs|ms|s) / && NF > 3 { name = $0; sub(/ +[0-9.]+ (ns|µs|ms|s) .*/, "", name)
    gsub(/[├╰│─ ]/, "", name); gsub(/^ +| +$/, "", $3); printf "%s%s: %s", sep, name, $3; sep = "; " }'
}
for bench in training encoder generation; do
  for place in "$device" cpu; do
    row "LAMAS_DEVICE=$place cargo bench --bench $bench" "$(LAMAS_DEVICE=$place "$binaries/$bench" --bench 2> /dev/null | medians)"
    if [ "$device" = cpu ]; then break; fi
  done
done
