#!/bin/sh
# Runs in the guest; what it prints appears on your terminal as it happens.
set -eu

echo "A short tour by $(id -un), provisioned by $1:"
echo "  kernel   $(uname -r)"
echo "  memory   $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MiB"
echo "  disk     $(df -h / | awk 'END {print $4}') free on /"
for n in 3 2 1; do
  echo "  done in  $n"
  sleep 1
done
cat /etc/motd
