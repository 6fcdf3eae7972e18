import {buffer} from 'node:stream/consumers'

import {expect} from 'vitest'

import {at, type IncusClient} from '../../src/hypervisor/incus/api/client.ts'
import {anything, dictionary, list, number, shape, text} from '../../src/hypervisor/incus/api/read.ts'

/** Where a trap is tried: on the fake server, and on a real one, so that the fake is known to tell the truth. */
export interface TrapLab {
  readonly client: IncusClient
  /** Alias of an image of a container that stays up by itself. */
  readonly image: string
  readonly signal: AbortSignal
}

const instance = shape<{
  readonly name: string
  readonly status: string
  readonly config: Readonly<Record<string, string>>
  readonly devices: Readonly<Record<string, Readonly<Record<string, string>>>>
}>({name: text, status: text, config: dictionary(text), devices: dictionary(dictionary(text))})

const create = ({client, image, signal}: TrapLab, name: string, extra: object = {}, project?: string) =>
  client.run({
    method: 'POST',
    path: at('instances'),
    query: {project},
    doing: `create ${name}`,
    signal,
    json: {name, type: 'container', source: {type: 'image', alias: image}, config: {}, devices: {}, ...extra},
  })

const state = ({client, signal}: TrapLab, name: string, action: string, project?: string) =>
  client.run({
    method: 'PUT',
    path: at('instances', name, 'state'),
    query: {project},
    doing: `${action} ${name}`,
    signal,
    json: {action, force: true, timeout: 30},
  })

const remove = ({client, signal}: TrapLab, name: string, project?: string) =>
  client.run({method: 'DELETE', path: at('instances', name), query: {project}, doing: `delete ${name}`, signal})

/** What of the API does not do what one would expect, by the number of `docs/decisions/0044`. Each leaves nothing. */
export const traps: readonly (readonly [string, (lab: TrapLab) => Promise<void>])[] = [
  [
    '1 a wait that failed and a wait whose time was up are told apart',
    async (lab) => {
      await create(lab, 'trap1', {config: {'user.test.deaf': 'true'}})
      await state(lab, 'trap1', 'start')
      await expect(state(lab, 'trap1', 'start')).rejects.toMatchObject({message: expect.stringMatching(/already running/) as string})
      const {client, signal} = lab
      // The command outlives the wait; the server says no both times in the same way.
      const sleeping = await client.begin({
        method: 'POST',
        path: at('instances', 'trap1', 'exec'),
        doing: 'sleep',
        signal,
        json: {command: ['sleep', '60'], 'wait-for-websocket': true, interactive: false},
      })
      await expect(sleeping.ended({timeoutMs: 1})).rejects.toMatchObject({code: 'vmctl::incus::timed_out'})
      await client.run({method: 'DELETE', path: sleeping.path, query: sleeping.query, doing: 'cancel', signal}).catch(() => undefined)
      await state(lab, 'trap1', 'stop')
      await remove(lab, 'trap1')
    },
  ],
  [
    '3 an operation that the server has forgotten sends us to the thing itself',
    async (lab) => {
      const {client, signal, image} = lab
      const begun = await client.begin({
        method: 'POST',
        path: at('instances'),
        doing: 'create trap3',
        signal,
        json: {name: 'trap3', type: 'container', source: {type: 'image', alias: image}},
        lookUp: async () => {
          const found = await client.find({path: at('instances', 'trap3'), doing: 'look at trap3', signal}, instance)
          return found && {...found}
        },
      })
      const operations = dictionary(list(text))
      await expect
        .poll(async () => JSON.stringify(await client.get({path: at('operations'), doing: 'list', signal}, operations)), {
          timeout: 60_000,
          interval: 500,
        })
        .not.toContain(begun.operation.id)
      expect(await begun.ended()).toMatchObject({name: 'trap3'})
      await remove(lab, 'trap3')
    },
  ],
  [
    '4 a create that cannot work is accepted first, and its failure has a code',
    async (lab) => {
      await create(lab, 'trap4')
      await expect(create(lab, 'trap4')).rejects.toMatchObject({code: 'vmctl::incus::name_taken'})
      await expect(create(lab, 'trap4b', {type: 'virtual-machine'})).rejects.toMatchObject({
        code: expect.stringMatching(/no_vms|not_found|failed/) as string,
      })
      await remove(lab, 'trap4')
    },
  ],
  [
    '5 what runs is not deleted, not even by force',
    async (lab) => {
      await create(lab, 'trap5', {start: true})
      const {client, signal} = lab
      await expect(
        client.run({method: 'DELETE', path: at('instances', 'trap5'), query: {force: '1'}, doing: 'delete trap5', signal}),
      ).rejects.toMatchObject({code: 'vmctl::incus::refused', message: expect.stringMatching(/is running/) as string})
      await state(lab, 'trap5', 'stop')
      await remove(lab, 'trap5')
    },
  ],
  [
    '6 a part can only be removed by replacing the whole, and only when nobody was quicker',
    async (lab) => {
      const {client, signal} = lab
      const path = at('instances', 'trap6')
      await create(lab, 'trap6', {devices: {extra: {type: 'none'}}})
      const look = {path, doing: 'change trap6', signal}
      await client.run({...look, method: 'PATCH', json: {devices: {more: {type: 'none'}}}})
      expect(Object.keys((await client.get(look, instance)).devices).toSorted()).toEqual(['extra', 'more'])
      let looks = 0
      const all = dictionary(anything)
      const changed = await client.alter(look, all, (value) => {
        looks++
        return value
      })
      expect([changed, looks]).toEqual([true, 1])
      const {etag, value} = await client.getTagged(look, all)
      expect(etag).not.toBe('')
      await client.alter(look, all, (current) => {
        const {extra: _extra, ...rest} = current['devices'] as Record<string, unknown>
        return {...current, devices: rest}
      })
      expect(Object.keys((await client.get(look, instance)).devices)).toEqual(['more'])
      await expect(client.run({...look, method: 'PUT', json: value, headers: {'if-match': etag ?? ''}})).rejects.toMatchObject({
        code: 'vmctl::incus::changed_meanwhile',
      })
      await remove(lab, 'trap6')
    },
  ],
  [
    '7 names have no underscore, and every value is a text',
    async (lab) => {
      await expect(create(lab, 'trap_7')).rejects.toMatchObject({code: 'vmctl::incus::refused'})
      await expect(create(lab, 'trap7', {config: {'limits.cpu': 2}})).rejects.toMatchObject({code: 'vmctl::incus::refused'})
    },
  ],
  [
    '8 a project with limits wants them of each instance, and says when it is full',
    async (lab) => {
      const {client, signal} = lab
      const project = 'trap8'
      await client.run({
        method: 'POST',
        path: at('projects'),
        doing: 'create a project',
        signal,
        json: {
          name: project,
          config: {'features.images': 'false', 'features.profiles': 'false', 'limits.memory': '1GiB', 'limits.instances': '1'},
        },
      })
      await expect(create(lab, 'trap8', {}, project)).rejects.toMatchObject({code: 'vmctl::incus::quota_exceeded'})
      const limits = {config: {'limits.memory': '64MiB'}}
      await create(lab, 'trap8', limits, project)
      await expect(create(lab, 'trap8b', limits, project)).rejects.toMatchObject({code: 'vmctl::incus::quota_exceeded'})
      await remove(lab, 'trap8', project)
      await client.run({method: 'DELETE', path: at('projects', project), doing: 'delete the project', signal})
    },
  ],
  [
    '9 recorded output is found in the project of the instance',
    async (lab) => {
      const {client, signal} = lab
      const project = 'trap9'
      await client.run({
        method: 'POST',
        path: at('projects'),
        doing: 'create a project',
        signal,
        json: {name: project, config: {'features.images': 'false', 'features.profiles': 'false'}},
      })
      await create(lab, 'trap9', {start: true}, project)
      const {return: status, output} = await client.run({
        method: 'POST',
        path: at('instances', 'trap9', 'exec'),
        query: {project},
        doing: 'execute something',
        signal,
        json: {command: ['echo', 'hello'], 'record-output': true, 'wait-for-websocket': false, interactive: false},
      })
      expect(number(status, 'return')).toBe(0)
      const path = dictionary(text)(output, 'output')['1'] ?? ''
      expect(path).not.toContain('project=')
      const {body} = await client.stream({path, query: {project}, doing: 'read the output', signal})
      expect((await buffer(body)).toString()).toMatch(/hello\n$/)
      await state(lab, 'trap9', 'stop', project)
      await remove(lab, 'trap9', project)
      await client.run({method: 'DELETE', path: at('projects', project), doing: 'delete the project', signal})
    },
  ],
]
