#!/usr/bin/env bash
# Type-checks the `cuda` and `metal` features on a machine that has neither.
#   scripts/typecheck_gpu.sh [cuda|metal]...        (default: both)
# Kernels are not compiled and nothing is linked, so this finds only Rust errors.
# Metal needs `rustup target add aarch64-apple-darwin` and, for crates that build C code, a Python with the package `ziglang`
# (named by ZIG_PYTHON; default python3).
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
export CARGO_TARGET_DIR=${GPU_CHECK_TARGET_DIR:-target/gpu-check}

check_cuda() {
  # cudarc and candle's build script only ask the compiler for its version and for output files.
  mkdir -p "$tools/cuda"
  cat > "$tools/cuda/nvcc" <<'SH'
#!/bin/sh
if [ "$1" = --version ]; then
  printf 'nvcc: NVIDIA (R) Cuda compiler driver\n\n\nCuda compilation tools, release 13.0, V13.0.88\n'
  exit 0
fi
source= object= folder=
while [ $# -gt 0 ]; do
  case $1 in
    -o) object=$2; shift ;;
    --output-directory) folder=$2; shift ;;
    *.cu) source=$1 ;;
  esac
  shift
done
if [ -n "$object" ]; then printf '!<arch>\n' > "$object"; fi
if [ -n "$folder" ]; then : > "$folder/$(basename "${source%.cu}").ptx"; fi
SH
  chmod +x "$tools/cuda/nvcc"
  PATH="$tools/cuda:$PATH" NVCC="$tools/cuda/nvcc" CUDARC_CUDA_VERSION=13000 CUDA_COMPUTE_CAP=90 \
    cargo check --locked --features cuda
}

check_metal() {
  local zig="${ZIG_PYTHON:-python3} -m ziglang"
  cat > "$tools/cc" <<SH
#!/bin/bash
arguments=()
for argument in "\$@"; do
  case \$argument in
    --target=*|-arch|arm64|-mmacosx-version-min=*) ;;
    *) arguments+=("\$argument") ;;
  esac
done
exec $zig cc -target aarch64-macos "\${arguments[@]}"
SH
  printf '#!/bin/sh\nexec %s ar "$@"\n' "$zig" > "$tools/ar"
  chmod +x "$tools/cc" "$tools/ar"
  CC_aarch64_apple_darwin="$tools/cc" AR_aarch64_apple_darwin="$tools/ar" \
    cargo check --locked --features metal --target aarch64-apple-darwin
}

[ $# -gt 0 ] || set -- cuda metal
for feature in "$@"; do
  case $feature in
    cuda) check_cuda ;;
    metal) check_metal ;;
    *) echo "expected \`cuda\` or \`metal\`, found \`$feature\`" >&2; exit 1 ;;
  esac
  echo "$feature: type-checks"
done
