#!/usr/bin/env bash
# must_not_compile.sh <include folder> <cc> <cxx>: every file in must_not_compile/ is refused, with the diagnostic that its
# line `expected:` names, and compiles once its lines marked `wrong` are gone.
set -euo pipefail

include=$1 cc=$2 cxx=$3
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/must_not_compile
failed=0
count=0

# compile <name of the file>: its text comes on standard input.
compile() {
  local flags=(-Wall -Wextra -Werror "-I$include" -c -o /dev/null -)
  case $1 in
    *.c) "$cc" -xc -std=c99 "${flags[@]}" ;;
    *) "$cxx" -xc++ -std=c++20 "${flags[@]}" ;;
  esac 2>&1
}

for file in "$folder"/*; do
  count=$((count + 1))
  expected=$(sed -n 's/.*expected: \(.*[^ */]\).*/\1/p' "$file")
  if output=$(compile "${file##*/}" <"$file"); then
    echo "$file: compiles"
    failed=1
  elif [[ -z $expected ]] || ! grep -Eq "$expected" <<<"$output"; then
    echo "$file: refused, but not for '$expected':"
    echo "$output"
    failed=1
  fi
  if ! output=$(grep -v 'wrong' "$file" | compile "${file##*/}"); then
    echo "$file: refused without its wrong lines too:"
    echo "$output"
    failed=1
  fi
done
echo "$count files"
((count > 0 && failed == 0))
