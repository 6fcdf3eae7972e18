# Comes back to a job. One that was never started is fenced off, so that a late starter (its connection may be lost but not yet
# noticed) can never run it.
#
# output: `$mark` and where the job is, as a line; then as follow-job.sh
# status: 94 gone the directory is no longer there
# status: 95 neverStarted and it never will be
: "${mark?}"
: "${directory?of the job}"

cd "$directory" 2>/dev/null || exit 94
. ./fence-job.sh
[ -e rc ] || { fence && exit 95; }
echo "$mark$PWD"
. ./follow-job.sh
