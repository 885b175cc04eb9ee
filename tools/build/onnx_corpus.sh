#!/bin/bash
# Unpacks the ONNX conformance cases (from the Python package onnx, pinned) into CACHE/onnx-1.22.0/data.
# usage: tools/build/onnx_corpus.sh CACHE
set -euo pipefail
cache=${1:?usage: tools/build/onnx_corpus.sh CACHE}
version=1.22.0
dest=$cache/onnx-$version
[ -e "$dest/complete" ] && exit 0
echo "setup: fetching the ONNX $version conformance cases"
work=$(mktemp -d "$cache/onnx.XXXXXX")
trap 'rm -rf "$work"' EXIT
# The cases are the same in every wheel; this one exists for every Python from 3.12 on.
python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
  --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 -d "$work" "onnx==$version"
(cd "$work" && unzip -q ./*.whl 'onnx/backend/test/data/*')
rm -rf "$dest"
mkdir -p "$dest"
mv "$work/onnx/backend/test/data" "$dest/data"
touch "$dest/complete"
