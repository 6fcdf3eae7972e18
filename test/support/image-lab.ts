import {execFileSync} from 'node:child_process'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterEach, beforeEach} from 'vitest'

import type {HttpOptions} from '../../src/image/http-client.ts'
import {type ImageServer, type ServedFile, startImageServer} from './image-server.ts'
import {makeScratch, type Scratch} from './images.ts'

export interface ImageLab {
  readonly server: ImageServer
  readonly scratch: Scratch
  /** Puts a file on the server. Returns its URL. */
  serve(path: string, content: Buffer, more?: Partial<ServedFile>): string
  /** Whatever a user could boot from. */
  cachedDisks(): string[]
  /** How many requests for a path there were. */
  asked(path: string): number
  /** An empty cache in place of this one, whose source has other limits. */
  renewCache(http?: HttpOptions): void
  /** A second server, by https, and the certificate that makes it trusted. */
  startSecureServer(): Promise<{readonly secure: ImageServer; readonly ca: string}>
}

/** A server of images on loopback and an empty cache, both new for each test of the file that calls this. */
export const useImageLab = (): ImageLab => {
  let server: ImageServer
  let scratch: Scratch
  let secure: ImageServer | undefined
  beforeEach(async () => {
    server = await startImageServer()
    scratch = makeScratch()
  })
  afterEach(async () => {
    scratch[Symbol.dispose]()
    await server[Symbol.asyncDispose]()
    await secure?.[Symbol.asyncDispose]()
    secure = undefined
  })
  return {
    get server() {
      return server
    },
    get scratch() {
      return scratch
    },
    serve(path, content, more = {}) {
      server.files.set(path, {content, ...more})
      return `${server.origin}${path}`
    },
    cachedDisks: () => readdirSync(scratch.store.directory).filter((name) => name.startsWith('sha256-')),
    asked: (path) => server.requests.filter((request) => request.path === path).length,
    renewCache(http) {
      scratch[Symbol.dispose]()
      scratch = makeScratch(http)
    },
    async startSecureServer() {
      const {key, cert} = makeCertificate(scratch.path)
      secure = await startImageServer({key, cert})
      return {secure, ca: cert}
    },
  }
}

const makeCertificate = (directory: string): {key: string; cert: string} => {
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert], {stdio: 'ignore'})
  return {key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8')}
}
