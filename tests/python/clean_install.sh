#!/usr/bin/env bash
# clean_install.sh <repository> <folder> [<python with torch>]: from the last commit to a user's first call. Builds in pip's
# isolation (PyPI is asked), in a fresh clone and virtual environments; the source distribution, its wheel, what auditwheel
# says of it, and an editable install too.
set -euo pipefail

repository=$(realpath "$1") folder=$2 torch=${3-}
step() {
  printf '\n== %s\n' "$*"
}

rm -rf "$folder"
mkdir -p "$folder"
folder=$(realpath "$folder")
git -c safe.directory='*' clone --quiet "$repository" "$folder/clone"
sources=$folder/clone/tests/python
python3 -m venv "$folder/venv"
python3 -m venv "$folder/tools"
"$folder/tools/bin/pip" install --quiet auditwheel build
cd "$folder" # so that nothing of the checkout is imported

step "pip install ."
time "$folder/venv/bin/pip" install --quiet "$folder/clone"
"$folder/venv/bin/pip" list 2>/dev/null
step "flash_mla info"
"$folder/venv/bin/flash_mla" info
step "code for FlashMLA, NumPy alone"
"$folder/venv/bin/python" "$sources/flashmla_style.py"
if [[ -n $torch ]]; then
  step "code for FlashMLA, torch's tensors"
  site=$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
  mkdir package && cp -r "$site/flash_mla" package/
  PYTHONPATH=$folder/package "$torch" "$sources/flashmla_style.py"
fi

step "source distribution, and a wheel of it"
"$folder/tools/bin/python" -m build --sdist --outdir dist clone >build.log 2>&1 || { cat build.log && exit 1; }
"$folder/tools/bin/pip" wheel --quiet --no-deps --wheel-dir dist dist/*.tar.gz
(cd dist && stat --format='%s bytes %n' ./*)
step "auditwheel show"
"$folder/tools/bin/auditwheel" show dist/*.whl

step "editable install"
"$folder/tools/bin/pip" install --quiet --editable clone
"$folder/tools/bin/python" -c 'import flash_mla; print(flash_mla.__file__)' | grep -F "$folder/clone/bindings/python/flash_mla" |
  sed "s|$folder/||"
"$folder/tools/bin/python" "$sources/flashmla_style.py"
