#!/usr/bin/env bash
# format.sh <repository>: every tracked C, C++ and CUDA file is as clang-format writes it.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/tracked.sh"
cd "$1"
require clang-format
mapfile -t files < <(tracked ls-files '*.c' '*.cpp' '*.h' '*.hpp' '*.cu' '*.cuh')
echo "${#files[@]} files"
clang-format --dry-run -Werror "${files[@]}"
