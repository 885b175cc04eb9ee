#!/bin/bash
# The command on a model whose names are hostile (ATTACKS.md 17), and its exit codes.
# usage: command_test.sh PATH-OF-SLUICE
set -u
sluice=$(realpath "$1")
cd "${TEST_TMPDIR:-$(mktemp -d)}" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }

# A newline that forges a line, terminal escapes, NUL, invalid UTF-8, quotes, formats, a path.
odd='a\nFORGED: ok\x1b[2J\x00\xff\"%s%n${HOME}../</script>'
cat > odd.txt << END
graph "$odd" (%"x$odd": f32[2], %"i$odd": i64[1]) {
  %"y$odd" = Relu(%"x$odd")
  %"z$odd" = Gather(%"y$odd", %"i$odd")
  return %"z$odd"
}
END

# safe WHAT FILE: nothing that a terminal obeys, no forged line
safe() {
  if LC_ALL=C grep -qP '[^\x20-\x7e\n]' "$2"; then fail "$1 shows control characters: $(cat -v "$2" | head -5)"; fi
  if grep -q '^FORGED' "$2"; then fail "$1 has a forged line"; fi
}
# expect CODE ARGS...: runs the command, checks its exit code and what it shows
expect() {
  local code=$1; shift
  "$sluice" "$@" > out 2> err < /dev/null
  local got=$?
  [ "$got" = "$code" ] || fail "sluice $*: exit code $got, expected $code: $(cat -v err | head -3)"
  safe "sluice $*" out; safe "sluice $*" err
}
json() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2> /dev/null || fail "$2 is not JSON"; }

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
cat > open.txt << END
graph open (%x: f32[n,4]) {
  %y = Relu(%x)
  return %y
}
END
expect 0 bench open.txt --vary n=1:40 --json; json out "bench --vary --json"
expect 1 bench open.txt --vary n=0:4
for form in odd.onnx odd.sluice folder; do
  expect 0 convert odd.txt "$form"
  expect 0 show "$form" --json
done
expect 1 run odd.txt --input 'nobody=results/output_0.npy'
expect 1 show missing.onnx
expect 1 show $'missing\e[2J\nFORGED'
expect 2 show
expect 2 nonsense
expect 0 --help
[ $failed = 0 ] && echo "passed"
exit $failed
