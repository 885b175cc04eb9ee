#!/bin/bash
# The README shows example.cc and train.cc to the letter, and they run.
set -euo pipefail
example=$PWD/$1 source=$PWD/$2 readme=$PWD/$3 train=$PWD/$4 train_source=$PWD/$5
block() {  # the Nth listing of the README
  awk -v n="$1" '/^```$/ {on = 0} on {print} /^```cpp$/ {on = ++seen == n}' "$readme"
}
block 1 | diff - "$source" || { echo "README.md's first example is not tests/example/example.cc"; exit 1; }
block 2 | diff - "$train_source" || { echo "README.md's second example is not tests/example/train.cc"; exit 1; }
cd "$(mktemp -d)"
"$example" | tee out
grep -q 'f32\[2,10\]' out
[ -s classify.onnx ]
"$train" | tee out
awk '/^step/ {if (NR == 1) first = $4; last = $4} END {exit !(first > 0.1 && last < 1e-3 * first)}' out
[ -s line.sluice ]
