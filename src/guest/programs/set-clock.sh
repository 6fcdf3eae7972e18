# Sets a clock that is behind, as that of a guest is after a pause. The time comes by standard input, in seconds: a line to compare
# with, a little after that second has begun, and one to set, as it begins. A clock that is further behind than the pause was long is
# not ours to correct. BSD's date has no -s.
#
# output: `ready` as soon as it reads; then `set` or `kept`, and by how many whole seconds the clock was behind
: "${most_seconds?that it may be behind; empty when nobody knows}"

echo ready
IFS= read -r now
behind=$((now - $(date +%s)))
if [ "$behind" -lt 1 ] || { [ -n "$most_seconds" ] && [ "$behind" -gt "$most_seconds" ]; }; then echo "kept $behind"; exit 0; fi
IFS= read -r now
date -u -s "@$now" >/dev/null 2>&1 || date -u -f %s "$now" >/dev/null || exit 1
echo "set $behind"
