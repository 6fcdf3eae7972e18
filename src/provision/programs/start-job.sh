# Makes the directory of a job and tells where: on a disk if possible, where programs may be executed. Then waits for standard input
# (the lines of `inner`, then the script), starts the job, and follows it. What a vmctl that was killed at a bad moment has left of
# the same VM goes, unless a job in it still runs.
#
# output: `$mark` and where the job is, as a line; then as follow-job.sh
# status: 90 notMade the directory could not be filled
# status: 91 cutUpload not all of standard input came
# status: 95 neverStarted somebody has fenced the job off meanwhile
# status: 96 noPlace there is no directory in which programs may be executed
: "${mark?}"
: "${prefix?of the names of all jobs of this VM}"
: "${inner_lines?}"
: "${script_bytes?}"
: "${vmctl_run?text of run-job.sh; named so because a step gets what a login exports, and this text is not to be that}"

mask=$(umask)
umask 077
is_left() {
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  [ -e "$1/rc" ] || [ ! -s "$1/pid" ] || { read -r pid <"$1/pid"; ! kill -0 "$pid" 2>/dev/null; }
}
for parent in /var/tmp /tmp "$HOME"; do
  for old in "$parent/$prefix"*; do if is_left "$old"; then rm -rf "$old"; fi; done
done
directory=
for parent in /var/tmp /tmp "$HOME"; do
  directory=$(mktemp -d "$parent/$prefix"XXXXXXXXXX 2>/dev/null) || continue
  # On a file system that is mounted noexec no file is executable.
  : >"$directory/script" && chmod 700 "$directory/script" && [ -x "$directory/script" ] && break
  rm -rf "$directory"; directory=
done
[ "$directory" ] || exit 96
cd "$directory" && : >out && : >err || exit 90
echo "$mark$directory"
# The job's files are private; what the step makes has the permissions of a login.
echo "umask $mask" >inner
n=0
while [ $n -lt "$inner_lines" ]; do
  IFS= read -r line || exit 91
  printf '%s\n' "$line" || exit 91
  n=$((n+1))
done >>inner
cat >script
[ $(($(wc -c <script))) -eq "$script_bytes" ] || exit 91
(read -r boot </proc/sys/kernel/random/boot_id && echo "$boot" >boot) 2>/dev/null
mkdir room && printf '%9s\n' '' >pid.tmp && printf '%3s\n' '' >rc.tmp || exit 90
[ ! -e claim ] || exit 95
if command -v setsid >/dev/null 2>&1; then setsid sh -c "$vmctl_run" </dev/null >/dev/null 2>&1 &
else nohup sh -c "$vmctl_run" </dev/null >/dev/null 2>&1 & fi
. ./follow-job.sh
