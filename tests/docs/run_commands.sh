#!/usr/bin/env bash
# run_commands.sh README COMMAND: every call of the command that the README shows succeeds.
set -euo pipefail
readme=$1 command=$2

count=0
# shellcheck disable=SC2016  # the fence of a code block is no command
while read -r -a words; do
  echo "+ ${words[*]}"
  "$command" "${words[@]:1}" </dev/null >/dev/null
  count=$((count + 1))
done < <(sed -n '/^```sh$/,/^```$/p' "$readme" | grep '^build/release/flash_mla ')
if [ "$count" -eq 0 ]; then
  echo "the README shows no call of the command"
  exit 1
fi
echo "$count commands"
