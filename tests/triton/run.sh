#!/usr/bin/env bash
# run.sh <python> <folder>: compiles with Triton into the folder and runs what comes of it.
set -euo pipefail

python=$1
folder=$2
if [[ -z $python ]]; then
  echo "no interpreter with Triton: tools/test makes one (FLASH_MLA_PYTHON_TRITON)" >&2
  exit 1
fi
export PYTHONDONTWRITEBYTECODE=1 TRITON_CACHE_DIR=$folder/cache
exec "$python" -m pytest -q -p no:cacheprovider "$(dirname "${BASH_SOURCE[0]}")"
