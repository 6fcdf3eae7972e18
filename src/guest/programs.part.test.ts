import {mkdirSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {localGuest} from '../../test/support/guests.ts'
import {guestShells} from '../../test/support/shells.ts'
import {programText, shellCommand} from '../model/guest-program.ts'
import {correctClock} from './clock.ts'
import {parseProbe, probeCommand} from './ready/cloud-init-result.ts'
import {kindOfPath} from './programs/index.ts'
import {download, upload} from './transfer.ts'

const awkward = `it's "q" $(id) line\nfeed ü`

describe.each(guestShells())('with the shell and the programs of $name', ({missing, path}) => {
  const guest = localGuest(path, '/')
  const told = async (command: string): Promise<{code: number | null; text: string}> => {
    let text = ''
    const {code} = await guest.exec(command, {onStdout: (chunk) => void (text += chunk.toString())})
    return {code, text}
  }

  test.skipIf(missing)('a file arrives as a whole, with its mode, and comes back', async () => {
    const directory = temporaryDirectory()
    const local = join(directory, 'local')
    const content = Buffer.from(Array.from({length: 300_000}, (_, index) => index % 251))
    writeFileSync(local, content, {mode: 0o640})
    const there = join(directory, awkward, 'sub', awkward)
    await upload(guest, local, there)
    expect(readFileSync(there).equals(content)).toBe(true)
    expect(statSync(there).mode & 0o777).toBe(0o640)
    await upload(guest, local, there, {mode: 0o755})
    expect(readdirSync(join(directory, awkward, 'sub'))).toEqual([awkward])
    const back = join(directory, 'back')
    await download(guest, there, back)
    expect(readFileSync(back).equals(content)).toBe(true)
    expect(statSync(back).mode & 0o777).toBe(0o755)
  })

  test.skipIf(missing)('a clock that is right is left alone', async () => {
    const result = await correctClock(guest, {signal: AbortSignal.timeout(60_000)})
    expect(result.isSet).toBe(false)
    // Negative by what a busy host takes between the two looks at its clock.
    expect(result.behindSeconds).toBeLessThanOrEqual(0)
  })

  test.skipIf(missing)('what cannot be is told, and leaves nothing behind', async () => {
    const directory = temporaryDirectory()
    const local = join(directory, 'local')
    writeFileSync(local, 'content')
    await expect(upload(guest, local, directory)).rejects.toMatchObject({message: expect.stringContaining(`${directory} is a directory`)})
    await expect(upload(guest, local, join(local, 'below'))).rejects.toMatchObject({code: 'vmctl::guest::copy_failed'})
    await expect(download(guest, directory, join(directory, 'back'))).rejects.toMatchObject({
      message: expect.stringContaining(`${directory} is a directory`),
    })
    await expect(upload(guest, local, join(directory, 'x'), {owner: 'no-such-user'})).rejects.toMatchObject({
      message: expect.stringContaining('no-such-user'),
    })
    expect(readdirSync(directory)).toEqual(['local'])
  })

  test.skipIf(missing)('an upload that is cut short leaves what was there', async () => {
    const directory = temporaryDirectory()
    const [local, there] = [join(directory, 'local'), join(directory, 'there')]
    writeFileSync(local, 'a new content')
    writeFileSync(there, 'old')
    const cut: typeof guest = {...guest, exec: (command, options) => guest.exec(command, {...options, stdin: 'a new'})}
    await expect(upload(cut, local, there)).rejects.toMatchObject({message: expect.stringContaining('5 of 13 bytes arrived')})
    expect(readFileSync(there, 'utf8')).toBe('old')
    expect(readdirSync(directory).toSorted()).toEqual(['local', 'there'])
  })

  test.skipIf(missing)('what a path leads to', async () => {
    const directory = temporaryDirectory()
    const kind = async (name: string) => {
      const {code} = await guest.exec(shellCommand(programText(kindOfPath, {path: join(directory, name)})))
      return Object.entries(kindOfPath.statuses).find(([, status]) => status === code)?.[0]
    }
    mkdirSync(join(directory, awkward))
    writeFileSync(join(directory, awkward, 'f'), '')
    expect(await Promise.all([awkward, `${awkward}/f`, 'none'].map(kind))).toEqual(['directory', 'file', 'missing'])
  })

  test.skipIf(missing)('the result of cloud-init, as it comes', async () => {
    const root = temporaryDirectory()
    const [bootId, cloudInit] = [join(root, 'boot_id'), join(root, 'cloud init')]
    writeFileSync(bootId, 'boot-1\n')
    const ask = async (rounds: number) => {
      const {code, text} = await told(probeCommand({bootId, cloudInit}, rounds))
      expect(code).toBe(0)
      expect(text.startsWith('boot-1\n')).toBe(true)
      return parseProbe(text)
    }
    expect(await ask(0)).toEqual({state: 'absent'})
    mkdirSync(cloudInit)
    expect(await ask(2)).toMatchObject({state: 'running'})
    const waiting = ask(200)
    writeFileSync(join(cloudInit, 'status.json'), '{"v1": {"init": {"recoverable_errors": {"WARNING": ["slow"]}}}}')
    writeFileSync(join(cloudInit, 'result.json'), '{"v1": {"errors": ["bad"], "datasource": "DataSourceNoCloud"}}')
    expect(await waiting).toEqual({state: 'done', errors: ['bad'], recoverable: ['WARNING: slow'], datasource: 'DataSourceNoCloud'})
    writeFileSync(join(cloudInit, 'disabled'), '')
    writeFileSync(join(cloudInit, 'result.json'), '')
    expect(await ask(2)).toEqual({state: 'disabled'})
  })
})
