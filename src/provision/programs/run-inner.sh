# Runs `inner` of the job in a directory. An inline text there is for the login shell, when that is of the Bourne family.
#
# arguments: the directory, the login shell
# shellcheck disable=SC2034,SC1091 # inner comes with the job, uses VMCTL_SHELL, and unsets it
cd "$1" || exit
# zsh would read ~/.zshenv once more (-f: not), and what that says is no output of the step.
case $2 in */zsh) VMCTL_SHELL="$2 -f" ;; */bash | */ksh | */ksh93 | */mksh) VMCTL_SHELL=$2 ;; *) VMCTL_SHELL=/bin/sh ;; esac
. ./inner
