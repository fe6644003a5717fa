#!/usr/bin/env bash
# exports.sh <libflash_mla.so> <include folder>: the library exports the API, all of the C one, and nothing else.
set -euo pipefail

library=$1 include=$2
exported=$(nm --dynamic --defined-only --demangle "$library" | cut -d' ' -f3-)

# A lower-case name after flash_mla:: that is followed by :: is a namespace of the library's insides.
strangers=$(grep -Ev '^(flash_mla_[a-z_]+|flash_mla::.*)$' <<<"$exported" || true)
insides=$(grep -E '^flash_mla::[a-z][a-z0-9_]*::' <<<"$exported" || true)
if [[ -n $strangers$insides ]]; then
  printf 'exported, but not the API:\n%s\n%s\n' "$strangers" "$insides"
  exit 1
fi

missing=$(comm -13 <(grep -E '^flash_mla_' <<<"$exported" | sort -u) \
  <(grep -oE '\bflash_mla_[a-z_]+\(' "$include/flash_mla/flash_mla.h" | tr -d '(' | sort -u))
missing=$(grep -vxF flash_mla_ <<<"$missing" || true)
if [[ -n $missing ]]; then
  printf 'declared in flash_mla.h, but not exported:\n%s\n' "$missing"
  exit 1
fi
grep -q '^flash_mla::decode(' <<<"$exported"
echo "$(wc -l <<<"$exported") symbols"
