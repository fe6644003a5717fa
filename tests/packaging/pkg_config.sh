#!/usr/bin/env bash
# pkg_config.sh <prefix> <scratch folder> <cc> <cxx>: builds users' programs by pkg-config alone, from a copy of the
# installed tree (so nothing may know its own place), and looks at what the C program needs.
set -euo pipefail

prefix=$1 moved=$2 cc=$3 cxx=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rm -rf "$moved"
cp -r "$prefix" "$moved"

PKG_CONFIG_PATH=$(dirname "$(find "$moved" -name flash_mla.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir flash_mla)
read -ra flags <<<"$(pkg-config --cflags --libs flash_mla)"
[[ " ${flags[*]} " == *" -lflash_mla "* && "${flags[*]}" == *"$moved"* ]]
pkg-config --exact-version="$(sed -n 's/^Version: //p' "$PKG_CONFIG_PATH/flash_mla.pc")" flash_mla

"$cxx" -std=c++20 -Wall -Wextra -Werror "$here/consumer.cpp" -o "$moved/consumer" "${flags[@]}"
LD_LIBRARY_PATH=$libdir "$moved/consumer"

"$cc" -std=c99 -pedantic-errors -Wall -Wextra -Werror "$here/consumer.c" -o "$moved/consumer_c" "${flags[@]}" -lm
LD_LIBRARY_PATH=$libdir "$moved/consumer_c"
needed=$(readelf --dynamic --wide "$moved/consumer_c" | grep NEEDED)
echo "$needed"
if grep -q 'libstdc++' <<<"$needed"; then
  echo "the C program needs the C++ library itself"
  exit 1
fi
