#!/usr/bin/env bash
# api_reference.sh <repository> <site> <python with griffe2md> [--update]: docs/python_api.md is what the docstrings of the
# package in <site> give.
set -euo pipefail

repository=$1 site=$2 python=$3 update=${4-}
if [[ -z $python ]]; then
  echo "no interpreter with griffe2md (FLASH_MLA_PYTHON_DOCS)"
  exit 77
fi
committed=$repository/docs/python_api.md
made=$(mktemp)
trap 'rm -f "$made"' EXIT

cd "$repository" # pyproject.toml holds griffe2md's options
{
  echo "<!-- Made of docstrings by tests/python/api_reference.sh --update -->"
  PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 "$(dirname "$python")/griffe2md" flash_mla
} >"$made"
if [[ $update == --update ]]; then
  cp "$made" "$committed"
  exit
fi
diff -u "$committed" "$made" || {
  echo "docs/python_api.md is not what the docstrings say: run this script with --update"
  exit 1
}
# Every public name is there, and griffe2md has not met the modules as empty.
for name in $(PYTHONPATH=$site "$python" -c 'import flash_mla; print(*flash_mla.__all__)'); do
  [[ $name == __version__ ]] || grep -qF "### \`flash_mla.$name\`" "$made" || {
    echo "$name is missing"
    exit 1
  }
done
