#!/usr/bin/env bash
# shell.sh <repository>: every tracked shell script passes shellcheck.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/tracked.sh"
cd "$1"
require shellcheck
mapfile -t scripts < <(tracked ls-files '*.sh'; tracked grep -l --extended-regexp '^#!.*\b(bash|sh)$' -- ':!*.md')
mapfile -t scripts < <(printf '%s\n' "${scripts[@]}" | sort -u)
echo "${#scripts[@]} scripts"
shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}"
