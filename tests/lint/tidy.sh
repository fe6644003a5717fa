#!/usr/bin/env bash
# tidy.sh <changed|all> <repository> <build folder>: the library's, the command's, the emulator's and the runtime's sources pass clang-tidy. `changed` are
# those that the last commit or the working tree touched: a file takes four seconds and more.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/tracked.sh"
which=$1 build=$3
cd "$2"
require clang-tidy

if [[ $which == changed ]]; then
  base=HEAD
  tracked rev-parse --quiet --verify HEAD~1 >/dev/null && base=HEAD~1
  mapfile -t candidates < <(tracked diff --name-only --diff-filter=d "$base" -- 'src/*.cpp' 'cli/*.cpp' 'emulator/*.cpp' 'runtime/*.cpp')
else
  mapfile -t candidates < <(tracked ls-files 'src/*.cpp' 'cli/*.cpp' 'emulator/*.cpp' 'runtime/*.cpp')
fi

# Sources of other machines' backends are not in this build.
sources=()
for source in "${candidates[@]}"; do
  grep -qF "\"$PWD/$source\"" "$build/compile_commands.json" && sources+=("$source")
done
echo "${#sources[@]} files"
((${#sources[@]} > 0)) || exit 0
# The build is GCC's, some of whose warnings clang does not know.
printf '%s\0' "${sources[@]}" | xargs --null --max-args=1 --max-procs="$(nproc)" \
  clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p "$build"
