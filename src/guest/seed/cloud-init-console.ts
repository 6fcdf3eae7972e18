import type {GuestOs} from '../../model/vm.ts'
import type {GuestFile} from './guest-file.ts'

/** What makes the serial console log a user in without asking. */
export interface Autologin {
  readonly files: readonly GuestFile[]
  readonly commands: readonly (readonly string[])[]
}

export const autologin = (user: string, os: GuestOs): Autologin => (os === 'openrc' ? withInittab(user) : withGetty(user))

/** systemd starts agetty(8) from a template (systemd-getty-generator(8)); a drop-in of it counts for every serial console. */
const withGetty = (user: string): Autologin => ({
  files: [
    {
      path: '/etc/systemd/system/serial-getty@.service.d/vmctl-autologin.conf',
      content: Buffer.from(
        `[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin ${user} --keep-baud 115200,57600,38400,9600 %I $TERM\n`,
      ),
    },
  ],
  commands: [['sh', '-c', "systemctl daemon-reload && systemctl try-restart 'serial-getty@*.service'"]],
})

/**
 * inittab(5), which busybox init and sysvinit read again at SIGHUP. Its line for the serial console keeps its id and runlevels, for
 * these mean different things to the two: sysvinit takes four characters, busybox the name of the terminal. Both gettys can start
 * another program than login, but that of busybox gives it no user, so the program is one of ours.
 *
 * No `pkill -f` with words that stand here: it would find the shell that runs this.
 */
const withInittab = (user: string): Autologin => {
  const path = '/usr/local/sbin/vmctl-autologin'
  const program = `table=/etc/inittab
getty=/sbin/getty
[ -x $getty ] || getty=/sbin/agetty
action="respawn:$getty -n -l ${path} -L 115200 ttyS0 vt100"
if ! grep -q '^[^#]*ttyS0' $table; then
  if grep -q ':initdefault:' $table; then echo "S0:2345:$action"; else echo "ttyS0::$action"; fi >>$table
fi
sed -i "/^[^#]*ttyS0/s,^\\([^:]*:[^:]*:\\).*,\\1$action," $table && kill -HUP 1 || exit
pkill -x getty || pkill -x agetty || :`
  return {
    files: [{path, content: Buffer.from(`#!/bin/sh\nexec /bin/login -f ${user}\n`), mode: 0o755}],
    commands: [['sh', '-c', program]],
  }
}
