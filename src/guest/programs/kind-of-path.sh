# Tells what a path leads to, by its status.
#
# status: 10 directory
# status: 11 file
# status: 12 missing
: "${path?}"

if [ -d "$path" ]; then exit 10
elif [ -e "$path" ]; then exit 11
else exit 12
fi
