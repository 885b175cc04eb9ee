# What the tests of the command share. Sourced with the path of the command as first argument; it leaves the test in an
# empty folder.
set -u
sluice=$(realpath "$1")
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/XXXXXX")" || exit 1
failed=0
fail() { echo "FAILED: $*"; failed=1; }

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
# refused CODE WORDS ARGS...: it fails with this code, and the complaint, of a few lines, holds these words
refused() {
  local code=$1 words=$2; shift 2
  expect "$code" "$@"
  cat out err | grep -qF -- "$words" || fail "sluice $*: does not say '$words': $(head -3 err)"
  [ "$(wc -c < err)" -lt 2000 ] || fail "sluice $*: $(wc -c < err) bytes of complaint"
}
json() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1" 2> /dev/null || fail "$2 is not JSON"; }
finish() { [ $failed = 0 ] && echo "passed"; exit $failed; }

cat > open.txt << END
graph open (%x: f32[n,4]) {
  %y = Relu(%x)
  return %y
}
END
