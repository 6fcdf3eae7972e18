# Tells which boot this is, then waits for the result of cloud-init and tells it. The files say the same as
# `cloud-init status --format json`, which costs seconds of Python on a slow guest; it is asked only when the files do not come, as
# in a guest that keeps them elsewhere.
#
# output: the boot id, a line `$marker`, a word, and what belongs to the word, each after another such line:
#   skipped   not asked
#   absent    no cloud-init here
#   disabled  switched off
#   running   not yet; what cloud-init itself says
#   done      result.json, status.json
: "${boot_id?file with the id of this boot}"
: "${directory?where cloud-init keeps its results}"
: "${rounds?of 0.2 s, at most; 0 asks for the boot id only}"
: "${marker?line between the parts of the output}"

cat "$boot_id" 2>/dev/null
echo "$marker"
if [ "$rounds" -eq 0 ]; then echo skipped; exit 0; fi
if ! command -v cloud-init >/dev/null 2>&1 && [ ! -d "$directory" ]; then echo absent; exit 0; fi
while [ ! -s "$directory/result.json" ]; do
  if [ -e "$directory/disabled" ]; then echo disabled; exit 0; fi
  rounds=$((rounds - 1))
  if [ "$rounds" -le 0 ]; then echo running; echo "$marker"; cloud-init status --format json 2>/dev/null; exit 0; fi
  sleep 0.2 2>/dev/null || sleep 1
done
echo 'done'
echo "$marker"
cat "$directory/result.json"
echo
echo "$marker"
cat "$directory/status.json" 2>/dev/null || :
