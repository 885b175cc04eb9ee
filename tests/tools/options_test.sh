#!/bin/bash
# What the command does not understand it refuses; what it takes it uses; - is standard input and output.
# usage: options_test.sh PATH-OF-SLUICE
source "$(dirname "$0")/expect.sh" "$1"

cat > two.txt << END
graph two (%x: f32[n,4], %z: f32[4]) {
  %y = Relu(%x)
  %w = Constant {value = f32[40,4] {random = 1}}
  %g = Add(%z, %w)
  return %y, %g
}
END

# Numbers: none, out of bounds, not whole, not finite.
for n in -1 5000 99999999999999999999 1.5 1e3 0x10 nan two '' ' '; do
  refused 2 'whole number, 0 to' run open.txt --threads "$n"
done
for n in 0 -1 99999999999999999999 1.5 nan; do refused 2 'whole number, 1 to' bench open.txt --batch "$n"; done
for n in -1 1.5 nan all; do refused 2 'whole number, 0 or more' opt open.txt --fuel "$n"; done
for n in nan -1 inf 1e9 fast ''; do refused 2 'takes a number' bench open.txt --seconds "$n"; done
for option in --rtol --atol; do
  for n in nan -1 inf x; do refused 2 'takes a number' check open.txt --data . $option "$n"; done
done
for n in x -1 1.5 '' 99999999999999999999; do refused 1 '--dim n=' run open.txt --dim "n=$n"; done
for range in 4:2 0:4 1: 1:2:3 x:y 1:99999999999 -3:3; do refused 1 '--vary takes' bench open.txt --vary "n=$range"; done

# Names of what is not there.
for command in run show opt 'opt --explain' 'bench --seconds 0'; do
  refused 1 "'nope'" $command open.txt --dim nope=4
done
refused 1 "there are n" run open.txt --dim nope=4
refused 1 '--dim batch=x' show open.txt --dim batch=x
refused 1 "'nope'" bench open.txt --vary nope=1:3
refused 1 "'nope'" opt open.txt --print-after nope
refused 1 "'nope'" opt open.txt --passes nope
refused 1 "'nope'" opt open.txt --without nope
refused 1 'nope' run open.txt --input nope=x.npy
refused 1 'nope' run open.txt --inputs nope
refused 1 'nope' check open.txt --data nope
refused 1 'NAME=VALUE' run open.txt --input x
refused 1 'NAME=VALUE' run open.txt --dim =3
refused 1 'given twice' run open.txt --dim n=2 --dim n=3
expect 0 run open.txt --dim n=3 --outputs results
refused 1 'given twice' run open.txt --input x=results/output_0.npy --input x=results/output_0.npy
# The symbol is there, but no input is made up with it.
refused 1 "'n'" run open.txt --input x=results/output_0.npy --dim n=3
refused 1 'no input has a first dimension of 1' bench two.txt --dim n=2 --batch 8 --seconds 0
for option in --outputs --profile --tune --inputs; do refused 2 'not empty' run open.txt $option ''; done
refused 2 'not empty' opt open.txt -o ''
refused 2 'not empty' convert open.txt ''
refused 2 'not empty' show ''
refused 2 nope run open.txt --nope
refused 2 more run open.txt more
refused 2 --threads run open.txt --threads 1 --threads 2

# What excludes each other, and what would be mixed on one output.
refused 2 --text show open.txt --text --json
refused 2 --text show open.txt --text --dim n=2
refused 2 --seconds bench open.txt --vary n=1:2 --seconds 1
refused 2 --ops bench open.txt --vary n=1:2 --ops
refused 2 --wait bench open.txt --wait --ops
refused 2 --json opt open.txt --json
refused 2 --json opt open.txt --explain --json --print-after all
refused 1 'standard output' opt open.txt --explain -o -
refused 1 'standard output' opt open.txt --print-after all -o -
refused 1 'standard input' bench - --wait
expect 0 bench open.txt --seconds 0 --ops --json; json out "bench --ops --json"
python3 -c 'import json; assert json.load(open("out"))["ops"][0]["op"]' || fail "bench --ops --json has no ops"
expect 0 opt two.txt --print-after all  # it is as it should be already
grep -q 'changed nothing' err || fail "--print-after all prints nothing and does not say why"
sed 's/Relu(%x)/Relu(Identity)/; s/  %y/  %i = Identity(%x)\n  %y/; s/(Identity)/(%i)/' open.txt > identity.txt
expect 0 opt identity.txt --print-after all
grep -q '^// after' out || fail "--print-after all prints nothing"

# A mistyped ending is no folder.
for name in m.onx m.sluice.text m.safetensors folder.v1; do
  refused 1 "\"$name/\"" convert open.txt "$name"
  [ ! -e "$name" ] || fail "convert made $name"
  expect 1 opt open.txt -o "$name"
  [ ! -e "$name" ] || fail "opt made $name"
done
expect 0 convert open.txt folder.v1/
expect 0 convert open.txt folder.v1  # it is there now
expect 0 show folder.v1
expect 0 convert open.txt plain
expect 0 show plain

# Standard input, in each form, and back through standard output with every weight.
expect 0 convert two.txt two.onnx
expect 0 convert two.onnx two.sluice
expect 0 run two.onnx --outputs expected
for form in two.txt two.onnx two.sluice; do
  "$sluice" show - < $form > out 2> err || fail "show - < $form: $(cat err)"
  cat $form | "$sluice" run - --outputs piped > out 2> err || fail "cat $form | run -: $(cat err)"
  cmp -s piped/output_1.npy expected/output_1.npy || fail "run - < $form gives other numbers"
  rm -rf piped
done
for command in 'convert two.onnx -' 'opt two.onnx -o -'; do
  "$sluice" $command 2> err | "$sluice" run - --outputs piped > out 2>> err || fail "$command | run -: $(cat err)"
  cmp -s piped/output_1.npy expected/output_1.npy || fail "$command | run - gives other numbers"
  rm -rf piped
done
refused 1 'is empty' show -
echo 'graph g (' | "$sluice" show - > out 2> err && fail "show - takes half a text"
grep -q stdin err || fail "the complaint does not name stdin: $(cat err)"

# Outputs without a reference, and references out of the row.
mkdir data
cp results/output_0.npy data/input_0.npy
expect 0 run two.txt --input x=data/input_0.npy --outputs data
mv data/output_1.npy kept.npy
cp kept.npy data/output_1.npy
python3 - << END
import struct
header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
header += b' ' * (-(len(header) + 11) % 64) + b'\n'
open("data/input_1.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + struct.pack("<4f", 1, 2, 3, 4))
END
expect 0 run two.txt --inputs data --outputs data
expect 0 check two.txt --data data
mv data/output_1.npy kept.npy
refused 1 'NOT COMPARED' check two.txt --data data
expect 0 check two.txt --data data --allow-missing
grep -q 'NOT COMPARED' out || fail "check --allow-missing does not say what was not compared"
cp kept.npy data/output_2.npy
refused 1 'no output_1' check two.txt --data data
cp kept.npy data/output_1.npy
refused 1 'the model has only 2 outputs' check two.txt --data data
rm data/output_2.npy
touch data/output_1.pb
refused 1 'the same tensor' check two.txt --data data
rm data/output_1.pb
mkdir sets; cp -r data sets/test_data_set_0; cp -r data sets/test_data_set_2
cp data/input_1.npy sets/test_data_set_2/output_1.npy
refused 1 'test_data_set_2' check two.txt --data sets

finish
