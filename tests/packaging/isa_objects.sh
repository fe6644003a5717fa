#!/usr/bin/env bash
# isa_objects.sh <build folder>...: no object that is compiled for more than the base instruction set exports a weak
# symbol. The linker keeps one copy of those for the whole program: if it took this one, other machines would meet
# instructions that they lack in code that every backend shares.
set -euo pipefail

checked=0
failed=0
mapfile -t objects < <(find "$@" -name '*.o' | grep -E '/[^/]*(avx|neon)[^/]*$')
for object in "${objects[@]}"; do
  checked=$((checked + 1))
  if weak=$(nm --defined-only --demangle "$object" | grep -E '^[0-9a-f]* [WVu] '); then
    printf '%s exports weak symbols:\n%s\n' "$object" "$weak"
    failed=1
  fi
done
if ((checked == 0)); then
  echo "this build has no object for a special instruction set"
  exit 77
fi
echo "$checked objects"
exit "$failed"
