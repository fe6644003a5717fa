#!/usr/bin/env bash
# package.sh <repository> <folder> <python> <nvcc, or OFF>: builds the wheel from a clean copy of the checkout's tracked files and
# installs it into <folder>/site.
set -euo pipefail

repository=$1 folder=$2 python=$3 nvcc=$4
if [[ -z $python ]]; then
  echo "no interpreter with the Python package's requirements (FLASH_MLA_PYTHON)"
  exit 77
fi

# The copy's build folder stays, and tar keeps the times of files: an unchanged source is not compiled again.
clean=$folder/clean
mkdir -p "$clean"
find "$clean" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
cd "$repository"
git -c safe.directory='*' ls-files -z | tar --create --null --files-from=- --ignore-failed-read |
  tar --extract --directory="$clean"
rm -rf "$folder/wheel" "$folder/site"
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$folder/wheel" \
  --config-settings="cmake.define.FLASH_MLA_NVCC=$nvcc" "$clean"
"$python" -m pip install --quiet --no-deps --target "$folder/site" "$folder"/wheel/*.whl
ls -l "$folder/wheel"
