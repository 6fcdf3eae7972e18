import {mkdirSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {type Extras, readExtras} from './extras.ts'

const read = (extras: Extras, directory = temporaryDirectory()) => readExtras(extras, directory)

test('nothing gives nothing', async () => {
  expect(await read({})).toEqual({packages: [], runCommands: []})
})

test('each is read as in a VMFile', async () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'my www'))
  const fields = await read(
    {
      port: ['8080:80', '0.0.0.0:5353:53/udp', '22'],
      share: ['./my www:/srv/www:ro'],
      volume: ['data:/data', 'logs:/var/log/app:ro'],
      package: ['jq', 'nginx'],
      runcmd: ['echo "it\'s" \\ $HOME', 'a\nb'],
      device: ['01:00.0'],
    },
    directory,
  )
  expect(fields).toMatchObject({
    ports: [
      {protocol: 'tcp', bind: '127.0.0.1', host: 8080, guest: 80},
      {protocol: 'udp', bind: '0.0.0.0', host: 5353, guest: 53},
      {protocol: 'tcp', guest: 22},
    ],
    shares: [{source: join(directory, 'my www'), target: '/srv/www', readOnly: true}],
    volumes: [
      {volume: {name: 'data'}, target: '/data', readOnly: false},
      {volume: {name: 'logs'}, target: '/var/log/app', readOnly: true},
    ],
    devices: [{address: '0000:01:00.0'}],
    firmware: {type: 'uefi'},
    packages: ['jq', 'nginx'],
    runCommands: ['echo "it\'s" \\ $HOME', 'a\nb'],
  })
})

test('a volume of one name and directory is one volume', async () => {
  const directory = temporaryDirectory()
  const id = async (where: string) => (await read({volume: ['data:/x']}, where)).volumes?.[0]?.volume.id
  expect(await id(directory)).toBe(await id(directory))
  expect(await id(directory)).not.toBe(await id(temporaryDirectory()))
})

test.each<[keyof Extras, string]>([
  ['port', '8080:http'],
  ['port', '70000:80'],
  ['port', ''],
  ['share', './no-such-folder:/x'],
  ['share', '.'],
  ['share', '.:relative'],
  ['volume', 'bad name:/x'],
  ['volume', 'data'],
  ['volume', '"; vm "x" { }:/x'],
  ['package', ''],
  ['device', 'gpu'],
])('a value that the VMFile would refuse is refused, with its flag: --%s %j', async (flag, value) => {
  await expect(read({port: ['8081:81'], [flag]: [value]})).rejects.toMatchObject({
    code: 'vmctl::usage::invalid',
    message: expect.stringContaining(`--${flag} ${value}: `),
  })
})
