# Runs a test in a session of its own, so that it can be ended with everything that it has started, and a watcher that does so
# although nobody listens any more. The watcher looks every second, so that none is left long after a test has ended.
#
# output, status: those of the test
: "${test_words?the test, a command line of quoted words}"
: "${environment?lines that export what the test is to have; our own names keep out of its way}"
: "${vmctl_seconds?after which the test is ended}"

# A kill that is no part of the shell may take `-9 -1234` for `-9 -1`, which is everything (procps 4.0.2).
vmctl_own=; command -v setsid >/dev/null 2>&1 && [ "$(command -v kill)" = kill ] && vmctl_own=1
eval "$environment
${vmctl_own:+setsid }$test_words </dev/null 2>&1 &"
test=$!
{ n=0; while [ $n -lt "$vmctl_seconds" ]; do sleep 1; kill -0 $test || exit 0; n=$((n+1)); done; kill -9 ${vmctl_own:+-}$test; } >/dev/null 2>&1 </dev/null &
wait $test
