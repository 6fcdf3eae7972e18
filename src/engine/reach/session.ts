import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {sftpFiles} from '../../guest/sftp/files.ts'
import {upload} from '../../guest/transfer.ts'
import {noShell} from '../../model/login.ts'
import type {Guest} from '../../provision/provisioner.ts'

/** A connection as provisioners see it. */
export const asGuest = (connection: GuestConnection, bootId?: string): Guest & Pick<GuestConnection, 'closed' | 'close'> => ({
  ...(bootId !== undefined && {bootId}),
  exec: connection.exec,
  ...(connection.hasShell
    ? {upload: (localPath, remotePath, options) => upload(connection, localPath, remotePath, options)}
    : withoutShell(connection)),
  closed: connection.closed,
  close: connection.close,
})

const withoutShell = (connection: GuestConnection): Pick<Guest, 'upload' | 'files'> => {
  const files = sftpFiles(connection)
  return {
    files,
    async upload(localPath, remotePath, {privileged, owner, ...options} = {}) {
      if (privileged || owner !== undefined) throw noShell('Nothing can be copied as root, or for another owner')
      await files.put(localPath, remotePath, options)
    },
  }
}

/** A connection that is made when it is first needed, and made anew when it was lost. */
export interface Session extends Disposable {
  readonly guest: () => Promise<Guest>
}

type ClosableGuest = ReturnType<typeof asGuest>

export const openSession = (connect: () => Promise<ClosableGuest>): Session => {
  let current: Promise<ClosableGuest> | undefined
  return {
    guest: () => {
      if (current) return current
      const opening = connect()
      current = opening
      const forget = (): void => {
        if (current === opening) current = undefined
      }
      opening.then((connection) => connection.closed.catch(forget), forget)
      return opening
    },
    [Symbol.dispose]: () => {
      void current?.then(
        (connection) => {
          connection.close()
        },
        () => undefined,
      )
    },
  }
}
