#!/bin/bash
# Installs the library from a clone where nothing was built, as a stranger's first command, into a fresh folder; builds the
# README's example against it with CMake alone, and links everything that the public headers declare: shared and static.
# usage: tests/example/install_test.sh   (from the checkout; part of tools/test)
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
clone=$work/clone
leave() { [ ! -e "$clone/WORKSPACE" ] || (cd "$clone" && bazel clean --expunge > /dev/null 2>&1) || true; rm -rf "$work"; }
trap leave EXIT
mkdir "$clone"
git ls-files -zco --exclude-standard | tar --null -T - --ignore-failed-read -cf - 2> /dev/null | tar xf - -C "$clone"
"$clone/tools/install" "$work/prefix"
cp tests/example/{example.cc,train.cc,CMakeLists.txt} "$work"
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=clang++-19 > "$work/cmake.log" || { cat "$work/cmake.log"; exit 1; }
cmake --build "$work/build" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
for kind in sluice sluice_static; do (cd "$work" && build/example_$kind | grep 'f32\[2,10\]' && build/train_$kind | grep 'step 99: loss'); done
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
tests/example/public_functions.py "$work/prefix/include/sluice" "-I$work/prefix/include" > "$work/all.c"
for kind in sluice sluice-static; do
  clang++-19 -fuse-ld=lld -x c "$work/all.c" -x none $(pkg-config --libs $kind) "-Wl,-rpath,$work/prefix/lib" -o "$work/all" 2> "$work/link.log" ||
    { grep -a 'undefined' "$work/link.log" | head -20; echo "install_test: the headers declare what $kind does not have"; exit 1; }
  "$work/all"
done
# Only the public API leaves the shared library.
if llvm-nm-19 -D --defined-only -C "$work/prefix/lib/libsluice.so" | grep -vE ' (sluice|(typeinfo|vtable|guard variable|non-virtual thunk).* sluice)' | grep -E ' (T|D|B|R) ' | head -5 | grep .; then
  echo "install_test: foreign symbols are exported"; exit 1
fi
"$work/prefix/bin/sluice" --version | grep -q "^sluice $(pkg-config --modversion sluice)," || { echo "install_test: the command has another version"; exit 1; }
