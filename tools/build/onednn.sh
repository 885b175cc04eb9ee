#!/bin/bash
# Fetches oneDNN's source from Debian's archive (a later release's source package; the system's own apt set-up is not
# touched), mends it with onednn.patch, and builds it static with the THREADPOOL runtime and micro-kernels into CACHE/onednn,
# once for all checkouts. A key of this script's and the patch's text is kept beside the result: the same never builds twice.
# usage: tools/build/onednn.sh CACHE [JOBS]
set -euo pipefail
cache=${1:?usage: tools/build/onednn.sh CACHE [JOBS]}
patch=$(realpath "${0%.sh}.patch")
key=$(cat "$0" "$patch" | sha256sum | cut -c1-16)
work=$cache/onednn-build
dest=$cache/onednn
jobs=${2:-$(nproc)}
mkdir -p "$cache"
exec 9> "$cache/onednn.lock"
flock 9                                         # two checkouts must not build at once
[ "$(cat "$dest/KEY" 2> /dev/null)" = "$key" ] && exit 0
echo "oneDNN: building once into $dest (12 minutes on 2 cores)"
versions=${ONEDNN_VERSIONS:-"3.7.2+ds-2"}      # tried in order; pin, so that builds repeat
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial}
cd "$work"
# Debian's archive as this system already knows it, unless DEBIAN_MIRROR names another.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$')}
cat > apt/sources.sources <<S
Types: deb-src
URIs: $mirror
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
apt=(-o Dir::Etc::SourceList="$work/apt/sources.sources" -o Dir::Etc::SourceParts=/dev/null
     -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o Acquire::Languages=none
     -o APT::Sandbox::User=root
     -o Acquire::Check-Valid-Until=false)       # the version is pinned: a mirror that lags behind is good enough
got=
for v in $versions; do
  if compgen -G "onednn_${v}.dsc" > /dev/null; then got=$v; break; fi
  [ -n "$(ls -A apt/lists | grep Sources || true)" ] || apt-get "${apt[@]}" update
  if apt-get "${apt[@]}" source --download-only "onednn=$v"; then got=$v; break; fi
  rm -f "onednn_${v%%-*}"*        # a version can be listed whose files the mirror does not have yet
done
[ -n "$got" ] || { echo "onednn.sh: no oneDNN source could be fetched (tried: $versions)" >&2; exit 1; }
rm -rf src; dpkg-source --no-check -x "onednn_$got.dsc" src     # apt has checked the hashes
patch -d src -p1 --fuzz=0 < "$patch" || { echo "onednn.sh: the patch does not fit oneDNN $got" >&2; exit 1; }
# The generated emitters of x64/gemm are straight-line code run once; clang takes minutes for
# some of them while it inlines (and upstream's pattern misses the _partN_ files).
sed -i -e 's#gemm/\*/\*_kern_autogen.cpp#gemm/*/*_autogen.cpp#' -e 's/set(OPT_LEVEL "-O1")/set(OPT_LEVEL "-O1 -fno-inline -fno-stack-protector")/' \
  src/src/cpu/x64/CMakeLists.txt
cc=$(command -v clang-19 || command -v gcc) cxx=$(command -v clang++-19 || command -v g++)
CC=$cc CXX=$cxx cmake -S src -B build -G Ninja -Wno-dev \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG" \
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_INSTALL_PREFIX="$dest" -DCMAKE_INSTALL_LIBDIR=lib \
  -DDNNL_LIBRARY_TYPE=STATIC -DDNNL_CPU_RUNTIME=THREADPOOL -DDNNL_GPU_RUNTIME=NONE \
  -DONEDNN_BUILD_GRAPH=OFF -DDNNL_EXPERIMENTAL_UKERNEL=ON \
  -DDNNL_BUILD_TESTS=OFF -DDNNL_BUILD_EXAMPLES=OFF -DDNNL_BUILD_DOC=OFF \
  -DDNNL_ENABLE_JIT_PROFILING=OFF -DDNNL_ENABLE_ITT_TASKS=OFF \
  "-DDNNL_ENABLE_PRIMITIVE=BATCH_NORMALIZATION;BINARY;CONCAT;CONVOLUTION;DECONVOLUTION;ELTWISE;INNER_PRODUCT;LAYER_NORMALIZATION;MATMUL;POOLING;REDUCTION;REORDER;RESAMPLING;RNN;SOFTMAX;SUM"
nice -n 10 ninja -C build -j "$jobs"
rm -rf "$dest"
ninja -C build install > /dev/null
echo "$got" > "$dest/VERSION"
echo "$key" > "$dest/KEY"
rm -rf "$work"
