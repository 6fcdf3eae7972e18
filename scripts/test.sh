#!/bin/sh
# Installs what is missing and runs everything: checks, unit tests, and the tests on real QEMU; with `micro`, only those on
# real QEMU that need no guest but the micro guest and that depend on the machine.
# The last line counts the tests; the exit status is 0 only when nothing failed and something ran.
set -eu
cd "$(dirname "$0")/.."
case ${1-} in '' | micro) ;; *) echo "usage: npm test [-- micro]" >&2; exit 2 ;; esac
sh scripts/setup.sh run test
export PATH="$PWD/node_modules/.bin:${VMCTL_FIXTURES:-${XDG_CACHE_HOME:-$HOME/.cache}/vmctl-fixtures}/tools/bin:$PATH:/usr/sbin:/sbin"

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run NAME COMMAND...: goes on after a failure, so that one run tells all of them.
run() {
  name=$1
  shift
  printf '\n==> %s\n' "$name"
  "$@" </dev/null || echo "$name" >>"$results/failed"
}

# told NAME COMMAND...: the same for a command that writes no report; what it said last is told again at the end.
told() { run "$@" 2>&1 | tee "$results/$1.out"; }

if [ "${1-}" = micro ]; then
  export VMCTL_E2E_GUESTS=micro
  # What is killed, cut off, restarted half-way or made of another one shows the same on every machine, and takes minutes.
  set --
  for file in docs dropped fork guest-faults image-build killed layers order steps torture; do set -- "$@" --exclude "**/$file.e2e.ts"; done
else
  set --
  told 'build' npm run --silent build
  told 'checks' npm run --silent check
  run 'unit tests' vitest run --project unit --reporter default --reporter json --outputFile "$results/unit tests.json"
  run 'part tests' vitest run --project part --reporter default --reporter json --outputFile "$results/part tests.json"
fi
run 'tests on QEMU' vitest run --project e2e "$@" --reporter default --reporter json --outputFile "$results/tests on QEMU.json"
node scripts/closing-line.ts "$results"
