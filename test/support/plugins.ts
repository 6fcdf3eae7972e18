import {execFileSync} from 'node:child_process'
import {createHash} from 'node:crypto'
import {mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import type {AddressInfo} from 'node:net'
import {dirname, join} from 'node:path'

export interface PackageFiles {
  readonly name: string
  readonly version?: string
  /** What its package.json says beside them. */
  readonly pjson?: Readonly<Record<string, unknown>>
  readonly files?: Readonly<Record<string, string>>
}

/** Writes a package into a directory, and returns that. */
export const writePackage = (directory: string, {name, version = '1.0.0', pjson, files = {}}: PackageFiles): string => {
  const all = {'package.json': JSON.stringify({name, version, type: 'module', ...pjson}), ...files}
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(directory, path)), {recursive: true})
    writeFileSync(join(directory, path), text)
  }
  return directory
}

/** A plugin that brings a provisioner of this type. */
export const pluginFiles = (type: string, more: PackageFiles): PackageFiles => ({
  ...more,
  pjson: {oclif: {hooks: {'vmctl:extend': './extend.js'}}, ...more.pjson},
  files: {
    'extend.js': `export default () => ({provisioners: [{type: '${type}', parse: (settings) => settings, describe: () => '', facts: async () => ({}), run: async () => {}}]})`,
    ...more.files,
  },
})

/** An archive of a package as npm makes it: everything below `package/`. */
export const packPackage = (scratch: string, files: PackageFiles): string => {
  const directory = join(scratch, 'package')
  rmSync(directory, {recursive: true, force: true})
  writePackage(directory, files)
  const archive = join(scratch, `${files.name.replaceAll('/', '-')}-${files.version ?? '1.0.0'}.tgz`.replaceAll('..', 'up'))
  execFileSync('tar', ['-czf', archive, '-C', scratch, 'package'])
  return archive
}

/** A registry of npm with these packages, on loopback. */
export const serveRegistry = async (
  scratch: string,
): Promise<AsyncDisposable & {readonly url: string; publish(files: PackageFiles): void}> => {
  const documents = new Map<string, {versions: Record<string, unknown>; 'dist-tags': {latest: string}}>()
  const archives = new Map<string, Buffer>()
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').slice(1))
    const answer = archives.get(path) ?? (documents.has(path) ? JSON.stringify({name: path, ...documents.get(path)}) : undefined)
    response.statusCode = answer === undefined ? 404 : 200
    response.end(answer ?? '{}')
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  return {
    url,
    publish(files) {
      const content = readFileSync(packPackage(scratch, files))
      const {name, version = '1.0.0'} = files
      const path = `${name}/-/${version}.tgz`
      archives.set(path, content)
      const document = documents.get(name) ?? {versions: {}, 'dist-tags': {latest: version}}
      const integrity = `sha512-${createHash('sha512').update(content).digest('base64')}`
      document.versions[version] = {name, version, ...files.pjson, dist: {tarball: `${url}${path}`, integrity}}
      document['dist-tags'].latest = version
      documents.set(name, document)
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
