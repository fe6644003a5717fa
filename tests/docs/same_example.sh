#!/usr/bin/env bash
# same_example.sh README EXAMPLE: the README's C++ block is the example that is compiled and run.
set -euo pipefail
readme=$1 example=$2

# shellcheck disable=SC2016  # the fence of a code block is no command
block=$(sed -n '/^```cpp$/,/^```$/p' "$readme" | sed '1d;$d')
if [ -z "$block" ]; then
  echo "no C++ block in $readme"
  exit 1
fi
diff <(printf '%s\n' "$block") "$example"
