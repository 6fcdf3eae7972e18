import {afterAll, beforeAll, describe, test} from 'vitest'

import {startIncus, type FakeIncus} from '../../../../test/support/incus-server.ts'
import {traps} from '../../../../test/support/incus-traps.ts'
import {trust} from '../../../../test/support/incus-trust.ts'
import {makeCredentials} from './certificate.ts'
import {type IncusClient, openIncus} from './client.ts'

describe('what the API of Incus does that one would not expect, on the fake server', () => {
  let server: FakeIncus
  let client: IncusClient
  beforeAll(async () => {
    server = await startIncus()
    server.world.rememberMs = 500
    server.world.images.set('a'.repeat(64), {type: 'container', size: 1, aliases: ['tiny']})
    const credentials = makeCredentials('test')
    trust(server.world, credentials)
    client = await openIncus({addresses: [{url: server.url}], fingerprint: server.fingerprint, credentials})
  })
  afterAll(async () => {
    await client[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  for (const [name, expectTrap] of traps) test(name, ({signal}) => expectTrap({client, image: 'tiny', signal}))
})
