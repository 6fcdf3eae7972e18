# Claims the job in the working directory, runs its `inner`, and writes `rc` last and as a whole. It takes no room on the disk:
# whatever a step fills, its result is told, and one that could not be told is not begun. What the step did is on the disk of the
# guest before its result is there: a host that loses its power must not remember a step that the guest has forgotten.
: "${vmctl_inner?the command line that runs inner, as root or not}"

mv room claim 2>/dev/null || exit 0
printf '%9d\n' $$ 1<>pid.tmp && mv pid.tmp pid
eval "$vmctl_inner" </dev/null >>out 2>>err
code=$?
sync
printf '%3d\n' "$code" 1<>rc.tmp && mv rc.tmp rc
