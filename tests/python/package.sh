#!/usr/bin/env bash
# package.sh <repository> <folder> <python>: builds the wheel from a clean copy of the checkout's tracked files and
# installs it into <folder>/site.
set -euo pipefail

repository=$1 folder=$2 python=$3
if [[ -z $python ]]; then
  echo "no interpreter with the Python package's requirements (FLASH_MLA_PYTHON)"
  exit 77
fi

# The copy stays where it is, so that an unchanged source is not compiled again.
clean=$folder/clean
mkdir -p "$clean"
cd "$repository"
git -c safe.directory='*' ls-files -z | tar --create --null --files-from=- --ignore-failed-read |
  tar --extract --directory="$clean" --keep-newer-files 2>/dev/null
rm -rf "$folder/wheel" "$folder/site"
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$folder/wheel" "$clean"
"$python" -m pip install --quiet --no-deps --target "$folder/site" "$folder"/wheel/*.whl
ls -l "$folder/wheel"
