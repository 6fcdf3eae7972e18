import {writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, beforeEach} from 'vitest'

import {hashFile} from '../../src/host/hash.ts'
import {createOciSource} from '../../src/image/oci/index.ts'
import {type PushedImage, pushDisk, type PushJob} from '../../src/image/oci/push.ts'
import {ensureImage} from '../../src/image/cache.ts'
import type {ImageEvent} from '../../src/image/events.ts'
import type {ImageStore} from '../../src/image/image-store.ts'
import type {Mirror} from '../../src/model/catalogue.ts'
import {readOciReference} from '../../src/image/url.ts'
import type {BaseImage, ImageReference} from '../../src/model/vm.ts'
import {type FakeRepository, fakeRepository} from './fake-registry.ts'
import {type ImageServer, startImageServer} from './image-server.ts'
import {makeScratch, type Scratch} from './images.ts'

export interface OciLab extends Disposable {
  readonly path: string
  readonly store: ImageStore
  /** What was told since the lab was made. */
  readonly events: ImageEvent[]
  write(name: string, content: Buffer | string): string
  pull(source: string, more?: Partial<ImageReference>): Promise<BaseImage>
  /** The same, and the digest of the disk that came of it. */
  digestOf(source: string, more?: Partial<ImageReference>): Promise<string>
  push(image: BaseImage, target: string, more?: Partial<PushJob> & PushMore): Promise<PushedImage>
}

export interface PushMore {
  readonly chunkBytes?: number
  readonly signal?: AbortSignal
  readonly onEvent?: (event: ImageEvent) => void
}

export interface LabOptions {
  readonly mirrors?: readonly Mirror[]
}

/** An empty cache that knows registries; credentials are in `auth.json` and `.docker/config.json` of its path. Retries are quick. */
export const makeOciLab = ({mirrors = []}: LabOptions = {}): OciLab => {
  const scratch: Scratch = makeScratch()
  const quick = {retryDelayMs: 1, idleTimeoutMs: 5000, env: {HOME: scratch.path, REGISTRY_AUTH_FILE: join(scratch.path, 'auth.json')}}
  const store = {...scratch.store, sources: [createOciSource({...quick, mirrors: async () => mirrors})]}
  const events: ImageEvent[] = []
  const onEvent = (event: ImageEvent): void => void events.push(event)
  const pull: OciLab['pull'] = (source, more = {}) =>
    ensureImage(store, {kind: 'url', source, ...more}, {signal: new AbortController().signal, onEvent})
  return {
    path: scratch.path,
    store,
    events,
    write(name, content) {
      const path = join(scratch.path, name)
      writeFileSync(path, content)
      return path
    },
    pull,
    digestOf: async (source, more) => hashFile((await pull(source, more)).path),
    push(image, target, {chunkBytes, signal, onEvent: listener, ...more} = {}) {
      const job = {image, name: 'disk.qcow2', architecture: 'x86_64', created: '2026-01-02T03:04:05Z', ...more} as const
      return pushDisk(
        store,
        {...job, reference: readOciReference(target)},
        {
          ...quick,
          held: new Map(),
          signal: signal ?? new AbortController().signal,
          onEvent(event) {
            onEvent(event)
            listener?.(event)
          },
          ...(chunkBytes !== undefined && {chunkBytes}),
        },
      )
    },
    [Symbol.dispose]: () => scratch[Symbol.dispose](),
  }
}

interface RegistryLab {
  readonly server: ImageServer
  readonly lab: OciLab
  readonly registry: FakeRepository
}

/** For each test a registry of one repository, and a lab that has nothing of it yet. */
export const useRegistryLab = (take: (made: RegistryLab) => void, repository?: string): void => {
  let made: RegistryLab
  beforeEach(async () => {
    const server = await startImageServer()
    made = {server, lab: makeOciLab(), registry: fakeRepository(server, repository)}
    take(made)
  })
  afterEach(async () => {
    made.lab[Symbol.dispose]()
    await made.server[Symbol.asyncDispose]()
  })
}
