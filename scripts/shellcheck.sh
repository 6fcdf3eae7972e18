#!/bin/sh
# Reads every shell program of the project with shellcheck. Those that run in guests are held to POSIX, the others to the shell that
# they name. Without shellcheck it says so and is content, but not under CI.
set -eu
cd "$(dirname "$0")/.."
if ! command -v shellcheck >/dev/null; then
  echo 'shellcheck is not installed: the shell programs were not checked (scripts/setup.sh test installs it)' >&2
  [ "${CI-}" != true ]
  exit
fi
shellcheck --shell=sh src/*/programs/*.sh
shellcheck -x scripts/*.sh .ci/* src/image/build/*.sh fixtures/guests/*.sh fixtures/guests/*/profile.sh fixtures/incus/*.sh
