#!/bin/bash
# Installs the library into a fresh folder and builds the README's example against it with CMake alone, shared and static.
# usage: tests/example/install_test.sh   (from the checkout; part of tools/test)
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools/install "$work/prefix"
cp tests/example/{example.cc,CMakeLists.txt} "$work"
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++-19 > "$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/build" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
for kind in sluice sluice_static; do (cd "$work" && build/example_$kind | grep 'f32\[2,10\]'); done
PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig pkg-config --cflags --libs sluice > /dev/null
# Only the public API leaves the shared library.
if llvm-nm-19 -D --defined-only -C "$work/prefix/lib/libsluice.so" | grep -vE ' (sluice|(typeinfo|vtable|guard variable|non-virtual thunk).* sluice)' | grep -E ' (T|D|B|R) ' | head -5 | grep .; then
  echo "install_test: foreign symbols are exported"; exit 1
fi
"$work/prefix/bin/sluice" --help > /dev/null
