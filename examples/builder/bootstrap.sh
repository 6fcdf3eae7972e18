#!/bin/sh
# Stage 1, in the guest as root: what the build needs. Doing it twice does no harm.
set -eu
for tool in tar gzip sed; do
  command -v "$tool" >/dev/null || { apt-get update && apt-get install -y "$tool"; }
done
install -d -m 0755 /srv/public 2>/dev/null || mkdir -p /srv/public
echo "tools are here"
