import {join} from 'node:path'

import {expect, inject} from 'vitest'

import {startRegistry} from '../support/oci-registry.ts'
import {missingProgram} from '../support/programs.ts'
import {eventually} from '../support/vm-guests.ts'
import {scenario} from '../support/vm-scenario.ts'

/** A project that says as little as can be: no network, no log-in, no cloud-init. */
const {lab, step, check} = scenario('little')

const block = (name: string, body = ''): string =>
  `vm "${name}" {\n    image ${JSON.stringify(inject('micro'))}\n    memory 192\n    ${body}\n}\n`
const project = (defaults = ''): void => {
  lab.vmfile(
    `project "shop" { defaults { ${defaults} }; }\n${block('db')}${block('web', 'provision "shell" run="once" { inline "hostname"; }')}`,
  )
}
const ids = async (): Promise<unknown> => {
  const {vms} = await lab.json<{readonly vms: readonly {readonly name: string; readonly id: string}[]}>('list')
  return vms.map(({name, id}) => [name, id])
}

step('without a network a step runs as the user that nobody has named', async () => {
  project('network "user"; cloud-init;')
  await lab.ok('up')
  expect(await lab.guest('web', 'whoami')).toBe('vm')
  expect((await lab.vmctl('ssh', 'web', '--', 'ping -c 1 -W 2 db')).exitCode).not.toBe(0)
})

step('with the network that the project implies nothing is made anew; up says what waits, and a restart brings it', async () => {
  project()
  const before = await ids()
  const {stderr} = await lab.ok('up')
  expect(stderr).toContain('db: changed, needs a restart (`vmctl restart shop.db`): networks +default')
  await lab.ok('restart')
  expect(await ids()).toEqual(before)
  for (const [from, to] of [['web', 'db'] as const, ['db', 'web'] as const])
    expect(await eventually(() => lab.guest(from, `sudo ping -c 1 -W 2 ${to} >/dev/null && echo here`), {timeoutMs: 20_000})).toBe('here')
  expect((await lab.ok('plan')).stdout).not.toContain('networks')
})

step('a new stack has it from the start, and what a step needs comes with the step', async () => {
  await lab.ok('down', '--destroy')
  await lab.ok('up')
  expect(await lab.guest('web', 'sudo ping -c 1 -W 2 db >/dev/null && echo here')).toBe('here')
})

check('a disk that went to a registry and came back boots', async (context) => {
  const missing = missingProgram('docker-registry')
  if (missing !== undefined) context.skip(missing)
  await using registry = await startRegistry(join(lab.root, 'registry'))
  const target = `oci://${registry.host}/little/micro:1`
  await lab.ok('image', 'push', inject('micro'), target)
  lab.vmfile(`vm "far" {\n    image-url "${target}"\n    memory 192\n    cloud-init\n}\n`)
  await lab.ok('up')
  expect(await lab.guest('far', 'whoami')).toBe('vm')
  expect((await lab.ok('image', 'list')).stdout).toContain(`${registry.host}/little/micro:1`)
})
