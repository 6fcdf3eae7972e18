# Runs a POSIX shell command line in the home directory, without surprises of the log-in.
#
# All of it becomes one line between single quotes that every login shell reads, csh and fish too. So each line here is a command
# of its own, and there is no single quote, backslash or exclamation mark in it.
#
# arguments: the command line, as `printf %b` takes it
# status: that of the command line

# A start-up file may have exported these for a person; they change what shells and the usual programs do.
unset BASH_ENV ENV CDPATH POSIXLY_CORRECT TAR_OPTIONS GREP_OPTIONS GZIP
# A start-up file may have made PATH one on which nothing is found; then the usual places follow it.
command -v env >/dev/null 2>&1 || PATH=$PATH:/usr/local/bin:/usr/bin:/bin
# shellcheck disable=SC2164 # a user without a home directory works where the log-in is
cd 2>/dev/null
eval "$(printf %b "$1")"
