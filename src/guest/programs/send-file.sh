# Sends one file by standard output. Its permissions come first on standard error, as `ls` writes them: stat(1) is different on
# every system.
#
# status: not 0 with the reason on standard error
: "${source?path of the file}"

[ ! -d "$source" ] || { echo "$source is a directory" >&2; exit 1; }
# shellcheck disable=SC2012 # of a known file, and only its permissions
ls -ldL "$source" | cut -c 1-10 >&2 && exec cat "$source"
