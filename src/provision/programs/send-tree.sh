# Sends a directory by standard output, as a tar archive that is compressed with gzip. A pipe hides how tar ended, so its status goes
# around by another way (descriptor 3), and the archive by one of its own (4).
#
# status: not 0 with the reason on standard error
: "${source?path of the directory}"

cd "$source/" || exit
exec 4>&1
status=$({ { tar -cf - . 3>&-; echo $? >&3; } | gzip -1c >&4 3>&-; } 3>&1) && exit "$status"
