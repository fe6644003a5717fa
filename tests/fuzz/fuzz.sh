#!/usr/bin/env bash
# fuzz.sh <fuzzer> <corpus> <seconds>: runs a libFuzzer program from a seed corpus, which it leaves alone, and says how many
# inputs it tried and how far they reached (cov: edges of the library's and the target's code, ft: features of those).
set -euo pipefail

fuzzer=$1 corpus=$2 seconds=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/found"

status=0
export ASAN_OPTIONS=quarantine_size_mb=32${ASAN_OPTIONS:+:$ASAN_OPTIONS}
"$fuzzer" -max_total_time="$seconds" -timeout=20 -max_len=256 -len_control=0 -print_final_stats=1 -artifact_prefix="$scratch/" \
  "$scratch/found" "$corpus" >"$scratch/log" 2>&1 || status=$?
if ((status != 0)); then
  tail -n 60 "$scratch/log"
  for artifact in "$scratch"/{crash,leak,timeout,oom}-*; do
    [[ -f $artifact ]] && echo "input: $(base64 --wrap=0 "$artifact")"
  done
  exit "$status"
fi
grep -E 'INITED|DONE' "$scratch/log"
grep -E 'number_of_executed_units|average_exec_per_sec|new_units_added' "$scratch/log"
