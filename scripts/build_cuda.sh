#!/usr/bin/env bash
# Builds with `--features cuda`, for a machine with a GPU, on a machine that has neither a GPU nor a CUDA toolkit:
#   scripts/build_cuda.sh [cargo arguments; default: build --release]
# The compiler and the libraries of CUDA 13 are installed as Python wheels (1.2 GB) in CUDA_WHEELS (default: target/cuda/wheels).
# The build goes to CARGO_TARGET_DIR (default: target/cuda). CUDA_COMPUTE_CAP names the GPU: 90, the default, is an H100 or H200.
# The first build takes 15 minutes or more.
set -euo pipefail
cd "$(dirname "$0")/.."
wheels=${CUDA_WHEELS:-$PWD/target/cuda/wheels}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/cuda}
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CUDARC_CUDA_VERSION=13000

if [ ! -e "$wheels/complete" ]; then
  python3 -m venv "$wheels"
  "$wheels/bin/pip" install --quiet --disable-pip-version-check \
    nvidia-cuda-{nvcc,crt,cccl,runtime,nvrtc}==13.0.* nvidia-nvvm==13.0.* nvidia-cublas==13.0.* nvidia-curand==10.4.0.*
  touch "$wheels/complete"
fi
home=$(echo "$wheels"/lib/python3*/site-packages/nvidia/cu13)
mkdir -p "$home/lib/stubs"
ln -sfn lib "$home/lib64"
# Wheels contain libraries under their full names only; a linker looks for the short ones.
for library in "$home"/lib/lib{cudart,cublas,cublasLt,curand,nvrtc}.so.*; do
  ln -sf "$(basename "$library")" "${library%.so.*}.so"
done
# libcuda belongs to the driver, which is missing here. A library with the same symbols, none of which works, takes its place.
cargo metadata --locked --format-version 1 --features cuda | python3 -c '
import json, pathlib, re, sys
[cudarc] = [package["manifest_path"] for package in json.load(sys.stdin)["packages"] if package["name"] == "cudarc"]
source = pathlib.Path(cudarc).parent.joinpath("src/driver/sys/mod.rs").read_text()
for name in sorted(set(re.findall(r"\bfn (cu[A-Z]\w*)", source))):
    print(f"int {name}(void) {{ return 999; }}")' > "$home/lib/stubs/libcuda.c"
cc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$home/lib/stubs/libcuda.so" "$home/lib/stubs/libcuda.c"

export PATH=$home/bin:$PATH NVCC=$home/bin/nvcc CUDAFORGE_THREADS=${CUDAFORGE_THREADS:-$(nproc)}
export CUDA_HOME=$home CUDA_PATH=$home CUDA_ROOT=$home CUDA_TOOLKIT_ROOT_DIR=$home
[ $# -gt 0 ] || set -- build --release
exec cargo "$@" --locked --features cuda
