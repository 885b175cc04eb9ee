#!/bin/bash
# The command on a model whose names are hostile (ATTACKS.md 17), and its exit codes.
# usage: command_test.sh PATH-OF-SLUICE
source "$(dirname "$0")/expect.sh" "$1"

# A newline that forges a line, terminal escapes, NUL, invalid UTF-8, quotes, formats, a path.
odd='a\nFORGED: ok\x1b[2J\x00\xff\"%s%n${HOME}../</script>'
cat > odd.txt << END
graph "$odd" (%"x$odd": f32[2], %"i$odd": i64[1]) {
  %"y$odd" = Relu(%"x$odd")
  %"z$odd" = Gather(%"y$odd", %"i$odd")
  return %"z$odd"
}
END

expect 0 show odd.txt
expect 0 show odd.txt --json; json out "show --json"
expect 0 show odd.txt --text
expect 0 run odd.txt --outputs results --profile profile.json; json profile.json "the profile"; safe profile profile.json
ls results > listed; safe "the names of the outputs" listed
expect 0 opt odd.txt --explain -o again.txt
expect 0 opt odd.txt --explain --json; json out "opt --explain --json"
expect 2 opt odd.txt --json
expect 0 run odd.txt --deterministic --strict --threads 1
expect 0 run odd.txt --tune tuned
expect 2 run odd.txt --tune tuned --deterministic
expect 0 bench odd.txt --seconds 0.05 --json; json out "bench --json"
expect 0 bench open.txt --vary n=1:40 --json; json out "bench --vary --json"
expect 1 bench open.txt --vary n=0:4
expect 0 opt open.txt --explain --dim n=3
grep -q 'by tile' out || fail "opt --explain --dim shows no kernels"
expect 1 opt open.txt --explain --dim n=x
# Layer by layer a batch of these waits for memory: it runs in slices, and Explain says so.
cat > images.txt << END
graph images (%x: f32[n,16,96,96]) {
  %w = Constant {value = f32[16,1,3,3] {random = 1, scale = 0.3}}
  %a = Conv(%x, %w) {group = 16, pads = [1, 1, 1, 1]}
  %y = Conv(%a, %w) {group = 16, pads = [1, 1, 1, 1]}
  return %y
}
END
expect 0 opt images.txt --explain --json --dim n=16 --threads 1; json out "opt --explain --json of slices"
python3 -c 'import json, sys; assert json.load(open("out"))["plan"]["slices"]' 2> /dev/null || fail "the explanation has no slices"
# A saved model holds the weights as one thread wants them, however many it was made with.
cat > product.txt << END
graph product (%x: f32[n,64,7,7]) {
  %w = Constant {value = f32[64,64,3,3] {random = 1, scale = 0.1}}
  %y = Conv(%x, %w) {pads = [1, 1, 1, 1]}
  return %y
}
END
expect 0 convert product.txt product.onnx  # weights in the file, not a seed
expect 0 opt product.onnx -o product.sluice --threads 4
for threads in 1 4; do
  expect 0 opt product.sluice --explain --threads $threads
  grep -q 'weights packed: 0 made' out || fail "a saved model is packed again on $threads threads: $(grep 'weights packed' out)"
done
# Extents of 1 are legal for neither; of the first some are found, of the second none.
cat > rows3.txt << END
graph rows3 (%x: f32[n,k]) {
  %w = Constant {value = f32[3,5] {random = 1}}
  %y = Gemm(%x, %w) {transA = 1}
  return %y
}
END
expect 0 opt rows3.txt -o rows3.sluice
! grep -q 'no weights are packed' err || fail "opt packs nothing of a model that runs with 3 rows"
expect 0 opt rows3.txt --explain
expect 0 run rows3.sluice --dim n=3
sed 's/f32\[3,5\]/f32[11,5]/' rows3.txt > rows11.txt
expect 0 opt rows11.txt -o rows11.sluice
grep -q 'no weights are packed' err || fail "opt does not say that it packs nothing"
expect 0 run rows11.sluice --dim n=11
expect 1 opt rows11.txt -o rows11.sluice --dim n=3
for form in odd.onnx odd.sluice folder; do
  expect 0 convert odd.txt "$form"
  expect 0 show "$form" --json
done
# Two programs of one file: each is run by its name.
cat > signatures.txt << END
graph g (%x: f32[2], %rate: f32[]) {
  %w = Variable {name = "w", value = f32[2] [1, 2]}
  %y = Mul(%x, %w)
  %d = Mul(%x, %rate)
  %n = Sub(%w, %d)
  %a = Assign(%w, %n)
  return %y, %n
}
signature predict (x) -> (y)
signature train (x, rate) -> (n) does (a)
END
for form in signatures.txt signatures.sluice; do
  expect 0 show $form
  grep -q 'signature train (x, rate) -> (n) does (a)' out || fail "show does not list the signatures of $form"
  expect 0 show $form --json; json out "show --json of signatures"
  expect 1 run $form
  grep -q "say which to run, of 'predict', 'train'" err || fail "run does not say which signatures there are"
  expect 1 run $form --signature nope
  expect 0 run $form --signature predict
  grep -q '^y: ' out || fail "run --signature predict gives no y"
  expect 0 run $form --signature train
  expect 0 bench $form --signature train --seconds 0.05 --json
  expect 0 opt signatures.txt -o signatures.sluice
done
expect 0 convert signatures.txt frozen.sluice.txt --freeze
grep -q "left out: 'train'" err || fail "convert --freeze does not say that train goes"
! grep -q 'Variable\|Assign\|train' frozen.sluice.txt || fail "frozen.sluice.txt has state"
expect 0 run frozen.sluice.txt
expect 0 convert signatures.txt frozen.onnx --freeze=w
expect 1 convert signatures.txt frozen.onnx --freeze=other
# Extents that no one number fits cost no memory: nothing is made up to plan with.
printf 'graph g (%%x: f32[n,c,h,w]) {\n  %%k = Constant {value = f32[8,3,7,7] {random = 1}}\n  %%y = Conv(%%x, %%k)\n  return %%y\n}\n' > four.txt
(ulimit -v 2000000; exec "$sluice" opt four.txt -o four.sluice) > out 2> err || fail "opt of four open extents: $(cat err)"
# A model on standard input has no files beside it.
printf '// weights: shm/secret.safetensors\n' | cat - four.txt > names.txt
"$sluice" show - < names.txt > out 2> err && fail "a model on standard input opens files"
grep -q 'no folder to look in' err || fail "a model on standard input may name files"
# What is no model of ours is named, whatever its name says, with what can be done.
printf 'version https://git-lfs/spec/v1\noid sha256:0\nsize 1\n' > pointer.onnx
refused 1 'a pointer of Git LFS' show pointer.onnx
printf '<!DOCTYPE html><title>404</title>' > page.onnx
refused 1 'a web page' show page.onnx
python3 -c 'import zipfile; zipfile.ZipFile("zip.onnx", "w").writestr("m/data.pkl", "")'
refused 1 'is a PyTorch archive; load it in PyTorch' run zip.onnx
"$sluice" show - < zip.onnx > out 2> err && fail "show - takes a zip archive"
grep -q 'is a PyTorch archive' err || fail "a zip archive on standard input is not called so"
mkdir saved; touch saved/saved_model.pb
refused 1 'tf2onnx.convert --saved-model' convert saved saved.onnx
printf '\n\024\n\005input\022\013Placeholder' > frozen.pb
refused 1 'tf2onnx.convert --graphdef' show frozen.pb
printf '\001\002\003\004' > bytes.bin
refused 1 'it begins with the bytes 01 02 03 04; what can be read is .onnx' show bytes.bin
refused 1 'is a PyTorch archive; expected a tensor' run open.txt --input x=zip.onnx
expect 0 run open.txt --dim n=2 --outputs open
mv open/output_0.npy open/array.pb
expect 0 run open.txt --input x=open/array.pb
cp odd.onnx odd.bin
expect 0 show odd.bin
refused 1 'would be a TensorFlow Lite model' convert odd.onnx odd.tflite
expect 0 --help
grep -qF '.sluice.txt, .txt' out || fail "--help does not list the formats"
expect 0 convert signatures.txt predict.onnx
expect 0 show predict.onnx
expect 1 convert signatures.txt train.onnx --signature train
grep -q "signature 'train' writes state" err || fail "convert --signature train does not say why not"
expect 1 convert signatures.txt train.onnx --signature nope
expect 0 convert frozen.sluice.txt thawed.sluice.txt --unfreeze
grep -q '^variables: ' err || fail "convert --unfreeze does not say what became variables"
grep -q 'Variable' thawed.sluice.txt || fail "thawed.sluice.txt has no variable"
expect 0 run thawed.sluice.txt
expect 1 convert frozen.sluice.txt thawed.sluice.txt --unfreeze=other
expect 1 run odd.txt --input 'nobody=results/output_0.npy'
expect 1 show missing.onnx
expect 1 show $'missing\e[2J\nFORGED'
expect 2 show
expect 2 nonsense
expect 0 --help
expect 0 --version
grep -q "^sluice [0-9]" out || fail "--version says $(cat out)"
finish
