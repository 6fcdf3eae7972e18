# Makes the serial console of a guest with inittab(5) start a program of ours in place of login: busybox init and sysvinit read the
# table again at SIGHUP. The line of that console keeps its id and runlevels, for these mean different things to the two: sysvinit
# takes four characters, busybox the name of the terminal.
#
# No `pkill -f` with words that stand here: it would find the shell that runs this.
: "${login?path of the program}"

table=/etc/inittab
getty=/sbin/getty
[ -x $getty ] || getty=/sbin/agetty
action="respawn:$getty -n -l $login -L 115200 ttyS0 vt100"
# shellcheck disable=SC2094 # one after the other
if ! grep -q '^[^#]*ttyS0' $table; then
  if grep -q ':initdefault:' $table; then echo "S0:2345:$action"; else echo "ttyS0::$action"; fi >>$table
fi
sed -i "/^[^#]*ttyS0/s,^\\([^:]*:[^:]*:\\).*,\\1$action," $table && kill -HUP 1 || exit
pkill -x getty || pkill -x agetty || :
