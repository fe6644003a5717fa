#!/usr/bin/env bash
# run.sh <repository> <site> <python> <pytest argument>...: runs tests with the package that is installed in <site>.
set -euo pipefail

repository=$1 site=$2 python=$3
shift 3
if [[ -z $python ]]; then
  echo "no such interpreter here (FLASH_MLA_PYTHON, FLASH_MLA_PYTHON_TORCH)"
  exit 77
fi
cd "$repository"
# NumPy's own threads would spin beside the ones under test.
export PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1
exec "$python" -m pytest -q -p no:cacheprovider "$@"
