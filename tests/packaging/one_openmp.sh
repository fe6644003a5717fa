#!/usr/bin/env bash
# one_openmp.sh <library> <command>: each loads exactly one OpenMP runtime.
set -euo pipefail

for file in "$@"; do
  runtimes=$(ldd "$file" | grep -oE 'lib(gomp|omp|iomp5)[^ ]*\.so[^ ]*' | sort -u)
  if (($(wc -w <<<"$runtimes") != 1)); then
    echo "$file loads these OpenMP runtimes: ${runtimes:-none}"
    exit 1
  fi
  echo "$(basename "$file"): $runtimes"
done
