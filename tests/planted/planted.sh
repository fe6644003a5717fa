#!/usr/bin/env bash
# planted.sh <program> <table> <defect>: with this defect, each of the tests that the table names for it fails.
# planted.sh <program> <table> none: without one, all tests pass; and the table names every test.
set -euo pipefail

program=$1 table=$2 defect=$3

# run <tests, by name without parameters>...
run() {
  local filter=
  for name in "$@"; do filter+="$name:*/$name/*:"; done
  timeout 120 "$program" --gtest_brief=1 --gtest_fail_fast --gtest_filter="$filter" 2>&1
}

if [[ $defect == none ]]; then
  named=$(sed -nE 's/^[^#:]+: //p' "$table" | tr ' ' '\n' | sort -u)
  there=$("$program" --gtest_list_tests 2>/dev/null |
    awk '/^[^ ].*\.$/ { n = split($1, suite, "/"); prefix = suite[n] } /^  / { split($1, test, "/"); print prefix test[1] }' | sort -u)
  if ! diff <(echo "$there") <(echo "$named"); then
    echo "tests without a planted defect (<), or that are named and do not exist (>)"
    exit 1
  fi
  "$program" --gtest_brief=1
  exit
fi

read -ra tests <<<"$(sed -n "s/^$defect: //p" "$table")"
if ((${#tests[@]} == 0)); then
  echo "the table does not know $defect"
  exit 1
fi
export FLASH_MLA_DEFECT=$defect
missed=0
for name in "${tests[@]}"; do
  status=0
  output=$(run "$name") || status=$?
  case $status in
    0)
      echo "$name passes, although the library $defect"
      missed=1
      ;;
    124)
      echo "$name hangs where the library $defect"
      missed=1
      ;;
    *) echo "$name: $(grep -m1 -E 'Failure|ERROR|terminate|what\(\)' <<<"$output" || echo "ended with $status")" ;;
  esac
done
exit "$missed"
