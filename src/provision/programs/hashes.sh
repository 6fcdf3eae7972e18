# hashes FILE...: prints the sha256 of each file, or `-`, in order, a line each. A part of other programs.
hashes() {
  if [ $# -eq 1 ]; then sums=$(sha256sum 2>/dev/null <"$1") || sums=-
  else sums=$(sha256sum "$@" 2>/dev/null) || sums=$(for f; do sha256sum 2>/dev/null <"$f" || echo -; done); fi
  printf '%s\n' "$sums" | cut -c 1-64
}
