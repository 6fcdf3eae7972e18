#!/bin/bash
# The commands of README's start, then the tests: readme.sh [ARGUMENT of npm test]... The last line counts: each command is
# one, and the tests are as many as they say.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
file=examples/quickstart/VMFile.kdl
passed=0 failed=0 skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

try() {
  local start=$SECONDS
  printf '\n$ %s\n' "$*"
  if "$@" </dev/null; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $*"; fi
  echo "($((SECONDS - start)) s)"
}

try npm run quickstart
try npm run quickstart
try npx vmctl ssh --file "$file" -- true
try npx vmctl down --destroy --file "$file"

start=$SECONDS
printf '\n$ %s\n' "npm test $*"
npm test -- "$@" </dev/null 2>&1 | tee "$log"
status=$?
echo "($((SECONDS - start)) s)"
counts='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'
if [[ $(tail -n 1 "$log") =~ $counts ]]; then
  passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
else
  echo 'failed: npm test did not come to its end'
  failed=$((failed + 1))
fi
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
