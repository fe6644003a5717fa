#!/usr/bin/env bash
# old_cpu.sh <command>: the command runs on an x86-64 machine without AVX, and does not offer what that machine lacks.
set -euo pipefail

command=$1
old=(qemu-x86_64-static -cpu qemu64)
if ! command -v "${old[0]}" >/dev/null; then
  echo "needs qemu-user-static"
  exit 77
fi
info=$(mktemp)
trap 'rm -f "$info"' EXIT
"${old[@]}" "$command" info --json "$info"
usable=$(grep -oE '"(name|usable)": *("[a-z0-9_]+"|true|false)' "$info" | sed -n '/"name"/{h;n;/true/{x;s/.*"\([a-z0-9_]*\)"$/\1/p}}')
if [[ $usable != scalar ]]; then
  echo "usable without AVX: ${usable:-none}; expected scalar alone"
  exit 1
fi
"${old[@]}" "$command" check --quick --backend scalar
