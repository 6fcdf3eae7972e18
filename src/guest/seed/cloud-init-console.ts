import type {GuestOs} from '../../model/vm.ts'
import type {GuestFile} from './guest-file.ts'
import {programText} from '../../model/guest-program.ts'
import {autologinInittab} from '../programs/index.ts'

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

/** Both gettys can start another program than login, but that of busybox gives it no user, so the program is one of ours. */
const withInittab = (user: string): Autologin => {
  const login = '/usr/local/sbin/vmctl-autologin'
  return {
    files: [{path: login, content: Buffer.from(`#!/bin/sh\nexec /bin/login -f ${user}\n`), mode: 0o755}],
    commands: [['sh', '-c', programText(autologinInittab, {login})]],
  }
}
