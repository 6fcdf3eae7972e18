import type {GuestConnection} from '../../guest/ssh/connection.ts'
import {upload} from '../../guest/transfer.ts'
import type {Guest} from '../../provision/provisioner.ts'

/** A connection as provisioners see it. */
export const asGuest = (connection: GuestConnection, bootId?: string): Guest & Pick<GuestConnection, 'closed' | 'close'> => ({
  ...(bootId !== undefined && {bootId}),
  exec: connection.exec,
  upload: (localPath, remotePath, options) => upload(connection, localPath, remotePath, options),
  closed: connection.closed,
  close: connection.close,
})

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
