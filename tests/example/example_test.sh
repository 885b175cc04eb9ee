#!/bin/bash
# The README shows example.cc to the letter, and it runs.
set -euo pipefail
example=$PWD/$1 source=$PWD/$2 readme=$PWD/$3
sed -n '/^```cpp$/,/^```$/p' "$readme" | sed '1d;$d' | diff - "$source" || { echo "README.md's example is not tests/example/example.cc"; exit 1; }
cd "$(mktemp -d)"
"$example" | tee out
grep -q 'f32\[2,10\]' out
[ -s classify.onnx ]
