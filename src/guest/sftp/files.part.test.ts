import {randomBytes} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {describeUnless} from '../../../test/support/programs.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import type {GuestFiles} from '../../model/guest-files.ts'
import {sshCandidates} from '../ssh/candidates.ts'
import {connect, type GuestConnection} from '../ssh/ssh.ts'
import {sftpFiles} from './files.ts'

const pieceBytes = 255 * 2 ** 10

// Without `-P` a server with all that OpenSSH can, with it one that knows only what the protocol itself has.
describe.each(['', ' -P posix-rename,fsync'])('internal-sftp%s', (denied) => {
  describeUnless(sshdMissing())('files', () => {
    let sshd: TestSshd
    let guest: GuestConnection
    let files: GuestFiles
    beforeAll(async () => {
      sshd = await startSshd({config: ['Subsystem sftp internal-sftp', `ForceCommand internal-sftp${denied}`]})
      const auth = await sshCandidates({explicit: sshd.keyPath})
      guest = await connect({stream: await sshd.dial(), user: sshd.user, auth, verifyHostKey: () => true, hasShell: false})
      files = sftpFiles(guest)
    })
    afterAll(async () => {
      guest.close()
      await sshd[Symbol.asyncDispose]()
    })

    test.each([0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 17 * pieceBytes + 3])('%d bytes arrive, and come back', async (size) => {
      const directory = temporaryDirectory()
      const content = randomBytes(size)
      writeFileSync(join(directory, 'local'), content)
      const path = join(directory, 'there/file')
      await files.put(join(directory, 'local'), path, {mode: 0o640})
      expect(readFileSync(path).equals(content)).toBe(true)
      expect(statSync(path).mode & 0o777).toBe(0o640)
      const pieces: Buffer[] = []
      expect(await files.read(path, (piece) => void pieces.push(piece))).toMatchObject({type: 'file', size, mode: 0o640})
      expect(Buffer.concat(pieces).equals(content)).toBe(true)
    })

    test('a file or link that is there is replaced, a directory is not', async () => {
      const directory = temporaryDirectory()
      writeFileSync(join(directory, 'local'), 'new')
      writeFileSync(join(directory, 'old'), 'old')
      symlinkSync('old', join(directory, 'link'))
      mkdirSync(join(directory, 'directory'))
      await files.put(join(directory, 'local'), join(directory, 'link'))
      expect([readFileSync(join(directory, 'link'), 'utf8'), readFileSync(join(directory, 'old'), 'utf8')]).toEqual(['new', 'old'])
      await files.put(join(directory, 'local'), join(directory, 'old'))
      expect(readFileSync(join(directory, 'old'), 'utf8')).toBe('new')
      await expect(files.put(join(directory, 'local'), join(directory, 'directory'))).rejects.toThrow('it is a directory')
      expect(readdirSync(directory).toSorted()).toEqual(['directory', 'link', 'local', 'old'])
    })

    test('a file of unknown size is read to its end', async () => {
      const pieces: Buffer[] = []
      await files.read('/proc/self/status', (piece) => void pieces.push(piece))
      expect(Buffer.concat(pieces).toString()).toMatch(/^Name:\s/)
    })

    test('an abort leaves nothing behind', async () => {
      const directory = temporaryDirectory()
      writeFileSync(join(directory, 'local'), Buffer.alloc(64 * pieceBytes))
      mkdirSync(join(directory, 'there'))
      const over = new AbortController()
      const putting = files.put(join(directory, 'local'), join(directory, 'there/file'), {
        signal: over.signal,
        onProgress: () => over.abort(),
      })
      await expect(putting).rejects.toThrow('aborted')
      expect(readdirSync(join(directory, 'there'))).toEqual([])
    })

    test('trees are removed, and links in them are not followed', async () => {
      const directory = temporaryDirectory()
      mkdirSync(join(directory, 'kept'))
      mkdirSync(join(directory, 'tree/sub'), {recursive: true})
      writeFileSync(join(directory, 'kept/file'), '')
      symlinkSync('../kept', join(directory, 'tree/link'))
      await files.remove(join(directory, 'tree'))
      await files.remove(join(directory, 'tree'))
      expect(readdirSync(directory, {recursive: true, encoding: 'utf8'}).toSorted()).toEqual(['kept', 'kept/file'])
    })

    test('what a shell is for is refused, and a connection that is lost is told as such', async () => {
      await expect(guest.exec('true')).rejects.toMatchObject({code: 'vmctl::guest::no_shell'})
      const auth = await sshCandidates({explicit: sshd.keyPath})
      const socket = await sshd.dial()
      const other = await connect({stream: socket, user: sshd.user, auth, verifyHostKey: () => true})
      const session = sftpFiles(other)
      expect(await session.look('/')).toMatchObject({type: 'directory'})
      socket.destroy()
      await expect(session.look('/')).rejects.toMatchObject({code: 'vmctl::ssh::connection_lost'})
    })
  })
})
