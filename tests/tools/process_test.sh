#!/bin/bash
# What the command's surroundings refuse it (output, memory, threads, file size, instructions), and what they send it:
# a sentence and exit code 1, and no files left behind.
# usage: process_test.sh PATH-OF-SLUICE
source "$(dirname "$0")/expect.sh" "$1"

cat > model.txt << END
graph model (%x: f32[n,64,14,14]) {
  %w = Constant {value = f32[64,64,3,3] {random = 1, scale = 0.1}}
  %c = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  %r = Relu(%c)
  %f = Flatten(%r)
  %v = Constant {value = f32[12544,100] {random = 2, scale = 0.01}}
  %m = MatMul(%f, %v)
  %y = Softmax(%m)
  return %y
}
END
expect 0 convert model.txt model.onnx
expect 0 opt model.onnx -o model.sluice

# ends WHAT: the code is in $code, the complaint in err
ends() {
  [ "$code" = 1 ] || fail "$1: exit code $code: $(head -3 err)"
  [ -s err ] || fail "$1: not a word"
}

# Standard output is full, closed, or nobody reads it.
mkdir data; expect 0 run open.txt --outputs data; cp data/output_0.npy data/input_0.npy
for command in 'show open.txt' 'show model.onnx --text' 'show open.txt --json' 'run open.txt' 'convert model.onnx -' \
  'opt open.txt -o -' 'opt open.txt --explain' 'check open.txt --data data' \
  'bench open.txt --seconds 0' 'bench open.txt --seconds 0 --json' 'bench open.txt --seconds 0 --ops' \
  'bench open.txt --vary n=1:3' '--help' 'run --help' '--version'; do
  "$sluice" $command > /dev/full 2> err < /dev/null; code=$?; ends "$command > /dev/full"
  "$sluice" $command >&- 2> err < /dev/null; code=$?; ends "$command >&-"
done
echo | "$sluice" bench open.txt --wait --seconds 0 > /dev/full 2> err; code=$?; ends "bench --wait > /dev/full"
"$sluice" convert model.onnx - 2> err | true; code=${PIPESTATUS[0]}; ends "convert - | true"
"$sluice" show - <&- > out 2> err; code=$?; ends "show - <&-"
# A descriptor that is closed is not taken by the file that is written.
"$sluice" opt model.onnx -o beside.sluice >&- 2>&- <&- || fail "opt with all descriptors closed"
expect 0 show beside.sluice

# No more bytes in a file than this (SIGXFSZ): the old file stays, and nothing lies beside it.
mkdir written; cp model.sluice written; cp model.onnx written; cp model.txt written/t.sluice.txt
for name in model.sluice model.onnx t.sluice.txt new.sluice new.onnx new.sluice.txt new; do
  before=$(ls -A written | sort; cat written/model.* | cksum)
  (ulimit -f 100; "$sluice" convert model.onnx written/$name > out 2> err); code=$?; ends "convert to $name under ulimit -f"
  [ "$before" = "$(ls -A written | sort; cat written/model.* | cksum)" ] || fail "ulimit -f: $name: there is now $(ls -A written)"
done
(ulimit -f 1; "$sluice" run model.onnx --outputs results --dim n=8 > out 2> err); code=$?; ends "run --outputs under ulimit -f"

# No threads, or no memory for them.
(ulimit -v 4000000; "$sluice" run open.txt --threads 4096 > out 2> err < /dev/null); code=$?; ends "4096 threads under ulimit -v"
grep -q 'of 4096 threads' err || fail "no word of threads: $(head -3 err)"

# No memory: from hardly enough to start up to enough for everything, each ends by itself.
least=50000
until (ulimit -v $least; "$sluice" --version > /dev/null 2>&1); do least=$((least + 5000)); done
for more in 0 1 2 4 6 8 10 12 14 16 20 24 28 32 40 48 64 80 96 128 192 256 512; do
  for command in 'run model.sluice' 'run model.onnx --threads 2 --dim n=32' 'opt model.onnx --explain' \
    'convert model.onnx -' 'opt model.onnx -o small.sluice' 'convert model.onnx small.onnx'; do
    (ulimit -v $((least + more * 1000)); "$sluice" $command > out 2> err < /dev/null); code=$?
    [ $code = 0 ] || ends "$command with $more MB"
  done
done
[ $code = 0 ] || fail "512 MB are not enough: $(cat err)"
refused 1 memory run open.txt --dim n=9000000000000

# The model's file becomes shorter while it is mapped.
cat > table.txt << END
graph table (%i: i64[1]) {
  %t = Constant {value = f32[1000,1000] {random = 3}}
  %g = Gather(%t, %i)
  %y = Add(%t, %g)
  return %y
}
END
expect 0 convert table.txt table.onnx  # numbers, not a seed
expect 0 convert table.onnx table.sluice
mkfifo lines
# shortened OPTIONS...: the exit code, in $code, of a run during which the model's file is truncated
shortened() {
  cp table.sluice short.sluice
  rm -f ready
  "$sluice" bench short.sluice --wait --seconds 0 "$@" < lines > ready 2> err &
  pid=$!
  exec 3> lines
  for _ in $(seq 100); do [ -s ready ] && break; sleep 0.1; done
  truncate -s 4096 short.sluice
  echo >&3
  exec 3>&-
  wait $pid; code=$?
}
for threads in 1 2; do  # of two, both may meet a lost page at once
  shortened --threads $threads; ends "a model that became shorter, $threads threads"
  grep -q 'became shorter' err || fail "no word of the file: $(head -3 err)"
  [ "$(grep -c "^sluice:" err)" = 1 ] || fail "more than a sentence: $(cat err)"
done
shortened --copy
[ "$code" = 0 ] || fail "a copied model whose file became shorter: exit code $code: $(head -3 err)"

# It is ended while it writes: the caller sees the signal, and no file is left.
cat > large.txt << END
graph large (%x: f32[1]) {
  %t = Constant {value = f32[20000,1000] {random = 4}}
  %y = Add(%x, %t)
  return %y
}
END
expect 0 convert large.txt large.onnx
for signal in TERM INT HUP; do
  mkdir target
  # bash starts what runs in the background with SIGINT switched off; Python switches it on again.
  python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
    "$sluice" convert large.onnx target/large.sluice 2> err &
  pid=$!
  while kill -0 $pid 2> /dev/null && ! ls -l /proc/$pid/fd 2> /dev/null | grep -q "$PWD/target/"; do :; done
  kill -$signal $pid 2> /dev/null && wait $pid; code=$?
  [ "$code" = $((128 + $(kill -l $signal))) ] || fail "$signal: exit code $code"
  [ -z "$(ls -A target)" ] || fail "$signal leaves $(ls -A target)"
  rm -rf target
done

# An old processor. Where it cannot be played (no qemu-user), that is said.
if command -v qemu-x86_64 > /dev/null; then
  for cpu in core2duo Penryn; do
    qemu-x86_64 -cpu $cpu "$sluice" run open.txt > out 2> err < /dev/null; code=$?; ends "run on $cpu"
    grep -q 'SSE4.1' err || fail "on $cpu no word of SSE4.1: $(head -3 err)"
    [ "$(wc -l < err)" -le 2 ] || fail "on $cpu more than a sentence: $(cat err)"
  done
  qemu-x86_64 -cpu Nehalem "$sluice" run open.txt > out 2> err < /dev/null || fail "Nehalem: $(head -3 err)"
else
  echo "no qemu-x86_64 here: old processors were not played"
fi

finish
