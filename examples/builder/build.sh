#!/bin/sh
# Stage 3, in the guest as root: build.sh SOURCE TARGET makes one page of each text and packs them.
set -eu
source=$1 target=$2
for text in "$source"/*.txt; do
  name=$(basename "$text" .txt)
  echo "building $name.html"
  { echo "<title>${TITLE:-A site}</title><pre>"; sed 's/&/\&amp;/g; s/</\&lt;/g' "$text"; echo '</pre>'; } >"$target/$name.html"
done
tar -czf /srv/public.tar.gz -C "$target" .
chmod 644 /srv/public.tar.gz
echo "packed $(ls "$target" | wc -l) pages"
