import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {join} from 'node:path'

import {type ImageServer, type ServedFile, startImageServer} from '../support/image-server.ts'
import {digestOf, makeRawDisk} from '../support/images.ts'
import {type Figure, randomFrom, type Row, tryAll} from './figure.ts'
import {describe, type Outcome, World} from './world.ts'

const disk = makeRawDisk(16 * 2 ** 20)
const otherDisk = makeRawDisk(12 * 2 ** 20, 2)

/** Bytes that may be sent a second time: 1 % of the image. What undici had buffered when the connection broke is lost, and fits. */
const sentTwice = disk.length / 100

/** A server and a state directory for one `image pull` after the other. */
class Downloads implements AsyncDisposable {
  readonly world = new World('downloads', existsSync('/dev/shm') ? '/dev/shm' : '/tmp', {VMCTL_BACKEND: 'noop'})
  readonly server: ImageServer
  #pulls = 0

  static async open(): Promise<Downloads> {
    return new Downloads(await startImageServer())
  }

  private constructor(server: ImageServer) {
    this.server = server
  }

  /** `image pull` of a file that is served in this way, into an empty cache. */
  async pull(file: ServedFile, words: readonly string[] = []): Promise<Outcome> {
    const {server, world} = this
    server.requests.length = 0
    rmSync(world.stateDirectory, {recursive: true, force: true})
    this.#pulls += 1
    const path = `/${this.#pulls}/disk.raw`
    server.files.set(path, file)
    return world.run(['image', 'pull', '--json', `${server.origin}${path}`, ...words])
  }

  sentBytes(): number {
    return this.server.requests.reduce((sum, {sentBytes}) => sum + sentBytes, 0)
  }

  /** What is wrong when the image had to arrive as `content`. */
  wrongImage(outcome: Outcome, content: Buffer): string[] {
    if (outcome.exitCode !== 0) return [describe(outcome)]
    const same = readFileSync((JSON.parse(outcome.stdout) as {path: string}).path).equals(content)
    return [...(same ? [] : ['the image has other bytes']), ...this.world.leftovers().map((path) => `left over: ${path}`)]
  }

  /** What is wrong when the download had to be refused with this code. */
  wrongRefusal(outcome: Outcome, code: string): string[] {
    const found = outcome.exitCode !== 0 && outcome.stdout.includes(`"${code}"`) ? [] : [`not refused with ${code}: ${describe(outcome)}`]
    const images = join(this.world.stateDirectory, 'images')
    const kept = existsSync(images) ? readdirSync(images).filter((name) => name.startsWith('sha256-')) : []
    return [...found, ...kept.map((name) => `${name} can be booted from`)]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await this.world[Symbol.asyncDispose]()
  }
}

interface Kind {
  readonly what: string
  /** How many of the trials are made: less than 1 where vmctl waits between its attempts. */
  readonly share?: number
  /** One trial; `cut` is a place in the file. */
  readonly trial: (cut: number, downloads: Downloads) => Promise<readonly string[]>
}

const kinds: readonly Kind[] = [
  {
    what: 'cut once: the rest is fetched, at most 1 % twice',
    trial: async (cut, downloads) => {
      const outcome = await downloads.pull({content: disk, cutAfter: [cut]})
      const again = downloads.sentBytes() - disk.length
      return [
        ...downloads.wrongImage(outcome, disk),
        ...(again > sentTwice ? [`${again} bytes were sent again after a cut at ${cut}`] : []),
      ]
    },
  },
  {
    what: 'cut once by a server without ranges: begun anew',
    trial: async (cut, downloads) => downloads.wrongImage(await downloads.pull({content: disk, cutAfter: [cut], ignoresRange: true}), disk),
  },
  {
    what: 'cut, then the file is another one: all of that one',
    trial: async (cut, downloads) => {
      const {server} = downloads
      const served: ServedFile = {
        cutAfter: [cut],
        get content() {
          return server.requests.length > 1 ? otherDisk : disk
        },
      }
      return downloads.wrongImage(await downloads.pull(served), otherDisk)
    },
  },
  {
    what: 'cut without a length: an end is not taken for the end',
    trial: async (cut, downloads) => {
      const served: ServedFile = {content: disk, cutAfter: [cut], framing: 'chunked'}
      return downloads.wrongImage(await downloads.pull(served), disk)
    },
  },
  {
    what: 'one bit is another than the digest says: refused',
    trial: async (cut, downloads) => {
      const content = Buffer.from(disk)
      content.writeUInt8(content.readUInt8(cut) ^ 1, cut)
      return downloads.wrongRefusal(await downloads.pull({content}, ['--sha256', digestOf(disk)]), 'vmctl::image::checksum_mismatch')
    },
  },
  {
    what: 'always cut at one place: refused',
    share: 0.1,
    trial: async (cut, downloads) => {
      const served: ServedFile = {content: disk, cutAfter: Array.from({length: 50}, () => cut), ignoresRange: true}
      return downloads.wrongRefusal(await downloads.pull(served), 'vmctl::image::download_failed')
    },
  },
]

/** F8: downloads that are cut, changed and damaged, by `vmctl image pull`. Servers that stall are in the tests of the image part. */
export const downloads: Figure = {
  id: 'F8',
  async *rows({trials = 100, jobs, seed, signal}): AsyncGenerator<Row> {
    const random = randomFrom(seed)
    for (const {what, trial, share = 1} of kinds) {
      const cuts = Array.from({length: Math.ceil(trials * share)}, () => Math.floor(random() * disk.length))
      yield {what: `image pull, ${what}`, ...(await tryAll(cuts, {jobs, signal, bench: () => Downloads.open()}, trial))}
    }
  },
}
