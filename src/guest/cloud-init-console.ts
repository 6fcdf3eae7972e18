import {quote} from '../model/quote.ts'
import type {GuestOs} from '../model/vm.ts'
import type {GuestFile} from './cloud-init-block.ts'

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
 * busybox init starts its getty from inittab(5) and reads that again at SIGHUP. Its getty can start another program than login,
 * but gives it no user, so the program is one of ours.
 */
const withInittab = (user: string): Autologin => {
  const path = '/usr/local/sbin/vmctl-autologin'
  const line = `ttyS0::respawn:/sbin/getty -n -l ${path} -L 0 ttyS0 vt100`
  const program = `mkdir -p /usr/local/sbin && sed -i '/^ttyS0:/d' /etc/inittab && echo ${quote(line)} >>/etc/inittab && kill -HUP 1 && { pkill -f 'getty.*ttyS0' || :; }`
  return {
    files: [{path, content: Buffer.from(`#!/bin/sh\nexec /bin/login -f ${user}\n`), mode: 0o755}],
    commands: [['sh', '-c', program]],
  }
}
