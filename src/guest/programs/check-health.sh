# Runs a test in a session of its own, so that it can be ended with everything that it has started, and a watcher that does so
# although nobody listens any more. The watcher looks every second, so that none is left long after a test has ended.
#
# output, status: those of the test
: "${test_words?the test, a command line of quoted words}"
: "${environment?lines that export what the test is to have}"
: "${seconds?after which the test is ended}"

own=; command -v setsid >/dev/null 2>&1 && own=1
# One text, so that no variable of the test is taken for one of ours.
eval "(
$environment
exec ${own:+setsid} $test_words
) </dev/null 2>&1 &"
test=$!
{ n=0; while [ $n -lt "$seconds" ]; do sleep 1; kill -0 $test || exit 0; n=$((n+1)); done; kill -9 ${own:+-}$test; } >/dev/null 2>&1 </dev/null &
wait $test
