# Shared by the scripts beside this file, which source it. Needs bash and, where packages are missing, Debian's apt.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the packages are named for those scripts

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

build_packages=(
  g++ cmake ninja-build libcli11-dev libfmt-dev nlohmann-json3-dev
  gnuplot-nox                                # plots
  libdnnl-dev                                # matrix products of the model runtime (oneDNN)
  libpcre2-dev libutf8proc-dev pkgconf       # its tokenizers' regular expressions and normal forms
  liblz4-dev libzstd-dev                     # the emulator reads compressed fat binaries
  libgtest-dev                               # the release build declares its tests
)
test_packages=(
  googletest                                 # its sources, for cross builds
  g++-aarch64-linux-gnu qemu-user-static     # the NEON backends, and old x86-64 machines
  clang libclang-rt-14-dev libomp-dev        # libFuzzer
  clang-format clang-tidy shellcheck git     # lint
  python3 python3-venv python3-dev           # the sample trace's generator; the Python package
)

say() {
  printf '== %s\n' "$*"
}

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in a file that is shown only if the command fails.
quietly() {
  local log=$1 status=0
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    tail -n 60 "$log" >&2
    die "'$*' failed with exit code $status; the whole output is in $log"
  fi
}

as_root() {
  if ((EUID == 0)); then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    die "needs root or sudo to run: $*"
  fi
}

installed() {
  [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Installs those of the named Debian packages that are missing.
need_packages() {
  local package missing=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "no apt here; what these Debian packages hold is taken to be installed: $*"
    return
  fi
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    return
  fi
  say "installing ${missing[*]}"
  quietly "$root/build/logs/apt-update.log" as_root apt-get update -o DPkg::Lock::Timeout=300
  quietly "$root/build/logs/apt-install.log" as_root apt-get install --yes --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}"
}

# configure_preset <preset> [<cmake option>...]
configure_preset() {
  quietly "$root/build/logs/$1-configure.log" cmake --preset "$@"
}

# build_preset <preset> [<target>...]: all targets unless some are named.
build_preset() {
  local preset=$1 targets=()
  shift
  (($# > 0)) && targets=(--target "$@")
  if [[ -t 1 ]]; then
    cmake --build --preset "$preset" "${targets[@]}" || die "the build of $preset failed"
  else
    quietly "$root/build/logs/$preset-build.log" cmake --build --preset "$preset" "${targets[@]}"
  fi
}

python_packages=(numpy ml_dtypes pytest hypothesis mypy scikit-build-core nanobind)
docs_packages=(griffe2md==1.5.1 griffelib==2.4.1 numpy)  # docs/python_api.md out of docstrings
# CUDA's compiler for the Hopper kernels (271 MB): one version, as what ptxas makes of them is tested.
nvcc_packages=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 "nvidia-cuda-runtime==13.0.*" "nvidia-cuda-cccl==13.0.*")
torch_packages=(
  torch==2.13.0                              # 4.7 GB installed: PyPI has no other build for x86-64
  transformers==5.24.0                       # the models that the runtime and the patch are held against
  matplotlib==3.11.0                         # the benchmark's plot
)
triton_packages=(triton==3.7.1 numpy ml_dtypes pytest)  # compiles kernels for the emulator's calibration; no GPU needed
generate_packages=(ik-llama-cpp-python==0.1.5 gguf==0.19.0 numpy matplotlib)  # bench/generate

clock_packages=(matplotlib==3.11.0)  # bench/clock's pictures

# python_environment <name> <package>...: prints the interpreter of a virtual environment with these packages from PyPI. It
# lies outside the tree, is made once, and is made anew when the list changes. Fails if it cannot be made.
python_environment() {
  local name=$1 folder wanted
  shift
  wanted="$(python3 --version) $*"
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/flash_mla/python-$name
  if [[ ! -f $folder/complete || $(<"$folder/complete") != "$wanted" ]]; then
    say "installing $* into $folder" >&2
    rm -rf "$folder"
    mkdir -p "$root/build/logs"
    if ! {
      python3 -m venv "$folder" && "$folder/bin/pip" install --quiet --no-cache-dir "$@"
    } >"$root/build/logs/python-$name.log" 2>&1; then
      return 1
    fi
    printf '%s' "$wanted" >"$folder/complete"
  fi
  printf '%s\n' "$folder/bin/python"
}

# Prints the path of nvcc: that on PATH, else one from PyPI. Fails if there is none.
find_nvcc() {
  local python
  command -v nvcc && return
  python=$(python_environment nvcc "${nvcc_packages[@]}") || return 1
  find "$(dirname "$python")/../lib" -path '*/bin/nvcc' -print -quit | grep .
}
