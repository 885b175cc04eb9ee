#!/bin/bash
# must_be_empty.sh FILE REASON: fails with the reason and the file's lines unless it is empty.
set -euo pipefail
[ -f "$1" ] || { echo "no file $1" >&2; exit 1; }
[ ! -s "$1" ] && exit 0
printf '%s\nIt needs:\n' "$2" >&2
cat "$1" >&2
exit 1
