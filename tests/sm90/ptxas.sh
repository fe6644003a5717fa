#!/usr/bin/env bash
# ptxas.sh <nvcc> <kernels.cu> <flag>...: what ptxas makes of the shipped kernels: no spills, no notice about wgmma or
# setmaxnreg (C75xx; ptxas returns 0 with them), no local memory, registers, barriers and shared memory as planned.
set -euo pipefail

nvcc=$1
source=$2
shift 2
if [[ ! -x $nvcc ]]; then
  echo "skipped: there is no nvcc"
  exit 77
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$nvcc" "$@" -arch=sm_90a -Xptxas -v -cubin -o "$folder/kernels.cubin" "$source" >"$folder/log" 2>&1 || {
  cat "$folder/log"
  exit 1
}

fail() {
  echo "$1"
  cat "$folder/log"
  exit 1
}

kernels=$(grep -c 'Compiling entry function' "$folder/log") || fail "no kernel was compiled"
clean=$(grep -c ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' "$folder/log") || clean=0
((kernels == 35)) || fail "$kernels kernels instead of 35"
((clean == kernels)) || fail "$((kernels - clean)) of $kernels kernels use the stack or spill"
if grep -q '(C75' "$folder/log"; then fail "ptxas has something to say about wgmma or setmaxnreg"; fi
# 384 threads start with 168 registers: what warpgroups hand over among each other adds up to that.
decode=$(grep -c 'Used 168 registers, used 7 barriers' "$folder/log") || decode=0
((decode == 8)) || fail "$decode decode kernels with 168 registers and 7 barriers instead of 8"
few_rows=$(grep -c 'Used [0-9]* registers, used 2 barriers' "$folder/log") || few_rows=0
((few_rows == 24)) || fail "$few_rows kernels for few rows with 2 barriers instead of 24"
grep 'entry function\|registers' "$folder/log"
