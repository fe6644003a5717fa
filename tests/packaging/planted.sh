#!/usr/bin/env bash
# planted.sh <scratch folder> <include folder> <libflash_mla.so> <cc> <cxx>: the checks beside this file, and the report of
# suites, refuse what they are for: each is given one defect.
set -euo pipefail

scratch=$1 include=$2 library=$3 cc=$4 cxx=$5
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=$(cd "$here/../../tools" && pwd)
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
failed=0

# refuses <exit code> <what> <command>...
refuses() {
  local wanted=$1 what=$2 status=0
  shift 2
  "$@" >output 2>&1 || status=$?
  if ((status == wanted)); then
    echo "refused: $what"
  else
    printf 'exit code %d, expected %d, for: %s\n' "$status" "$wanted" "$what"
    cat output
    failed=1
  fi
}

echo 'namespace flash_mla { int decode(int x) { return x; } } int stranger() { return 1; }' >stranger.cpp
"$cxx" -shared -fPIC stranger.cpp -o stranger.so
refuses 1 "a symbol outside the API" "$here/exports.sh" stranger.so "$include"
echo 'namespace flash_mla::core { int inside() { return 1; } }' >inside.cpp
"$cxx" -shared -fPIC inside.cpp -o inside.so
refuses 1 "a symbol of the insides" "$here/exports.sh" inside.so "$include"
mkdir -p more/flash_mla
echo 'int flash_mla_forgotten(void);' | cat "$include/flash_mla/flash_mla.h" - >more/flash_mla/flash_mla.h
refuses 1 "a C function that is not exported" "$here/exports.sh" "$library" more

mkdir objects
echo 'inline int shared(int x) { return x + 1; } int (*use)(int) = shared;' >weak.cpp
"$cxx" -c weak.cpp -o objects/weak_avx2.cpp.o
refuses 1 "a weak symbol in an object of one instruction set" "$here/isa_objects.sh" objects
rm objects/*
refuses 77 "no object to look at" "$here/isa_objects.sh" objects

echo 'int main(void) { return 0; }' >program.c
"$cc" program.c -o program
refuses 1 "no OpenMP runtime" "$here/one_openmp.sh" program
echo 'int main(int n, char** v) { volatile double x[8] = {0}; for (int i = 0; i < 8; ++i) x[i] += n; return v == 0; }' >avx.c
"$cc" -O1 -mavx avx.c -o avx
command -v qemu-x86_64-static >/dev/null && refuses 132 "AVX where there is none" qemu-x86_64-static -cpu qemu64 ./avx

mkdir -p fake/tools
cp "$tools/report_suites" fake/tools/
printf 'release.a 5 always a\nrelease.b 5 full b\n' >fake/tools/suites
ran='release.%s    =   1.00 sec*proc (2 tests)\n'
# shellcheck disable=SC2059
printf "$ran" a >a.log
# shellcheck disable=SC2059
printf "$ran$ran" a c >ac.log
fake/tools/report_suites quick a.log
refuses 1 "a suite that did not run" fake/tools/report_suites full a.log
refuses 1 "a suite that is not listed" fake/tools/report_suites quick ac.log
exit "$failed"
