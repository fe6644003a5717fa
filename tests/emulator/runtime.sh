#!/usr/bin/env bash
# runtime.sh <program> <folder>: the program succeeds, and what its kernels print and do wrong stands in the log.
set -euo pipefail

export FLASH_MLA_EMULATOR_LOG=$2/runtime.log
rm -f "$FLASH_MLA_EMULATOR_LOG"
"$1"
expect() {
  grep -qF -- "$1" "$FLASH_MLA_EMULATOR_LOG" || {
    echo "the log lacks: $1" >&2
    cat "$FLASH_MLA_EMULATOR_LOG" >&2
    exit 1
  }
}
for block in 0 1; do
  for thread in 0 1; do
    expect "block $block thread $thread says 7, 0.5, hello"
  done
done
expect "out of bounds: read of 4 bytes at global address 0x0"
expect "void insist(int): \`value == 3\` failed for lane 0"
