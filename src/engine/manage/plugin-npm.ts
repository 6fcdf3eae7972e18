import {symlink} from 'node:fs/promises'
import {delimiter, join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {makePrivateDirectory, readIfExists, writeFileAtomic} from '../../host/files.ts'
import {environment} from '../../host/paths.ts'
import {describeExit, run} from '../../host/process.ts'
import {VmctlError} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import {isPackageName, type PluginPackage, readPlugin} from './plugin-record.ts'
import type {PluginSource} from './plugin-source.ts'

export interface NpmPlace {
  /** A new directory of its own, in which the plugin and all that it needs get a `node_modules`. */
  readonly directory: string
  /** Directory of the vmctl that runs. */
  readonly vmctl: string
  readonly signal: AbortSignal
}

/**
 * Installs a plugin by the npm of the user. Nothing of a package is run meanwhile: neither its scripts nor, for one from git, what
 * would build it.
 * @returns the directory of the plugin, and what its package says
 * @throws VmctlError `vmctl::plugin::install_failed`, `vmctl::plugin::invalid`; `vmctl::host::not_installed` without npm
 */
export const installByNpm = async (
  source: PluginSource,
  place: NpmPlace,
): Promise<{readonly root: string; readonly plugin: PluginPackage}> => {
  const manifest = join(place.directory, 'package.json')
  await writeFileAtomic(manifest, '{"private": true}\n')
  await npmInstall(place, ['--', source.spec])
  const name = source.registry?.name ?? (await onlyDependency(manifest))
  if (!isPackageName(name)) throw new VmctlError('vmctl::plugin::invalid', `npm installed no package from ${source.spec}.`)
  const root = join(place.directory, 'node_modules', name)
  const plugin = await readPlugin(root)
  await addPeers(plugin, place, manifest)
  return {root, plugin}
}

/** npm is told to leave peers out, since it would look for vmctl in the registry; it gets the others, and a link leads to this vmctl. */
const addPeers = async ({peers}: PluginPackage, place: NpmPlace, manifest: string): Promise<void> => {
  const {vmctl, ...others} = peers
  if (Object.keys(others).length > 0) {
    const before = await readManifest(manifest)
    await writeFileAtomic(manifest, JSON.stringify({...before, dependencies: {...others, ...before.dependencies}}))
    await npmInstall(place, [])
  }
  if (vmctl !== undefined) await symlink(place.vmctl, join(place.directory, 'node_modules/vmctl'))
}

const onlyDependency = async (manifest: string): Promise<string> => Object.keys((await readManifest(manifest)).dependencies ?? {})[0] ?? ''

const readManifest = async (path: string): Promise<{readonly dependencies?: Readonly<Record<string, string>>}> =>
  JSON.parse((await readIfExists(path)) ?? '{}')

/** They outweigh what the user's configuration says. `--install-links` copies a directory instead of linking it. */
const settings = [
  '--ignore-scripts',
  '--install-links',
  '--legacy-peer-deps',
  '--omit=dev',
  '--save',
  '--no-global',
  '--no-dry-run',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
]

/**
 * npm before 11 runs the script `prepare` of directories and of packages from git whatever `--ignore-scripts` says. It looks for `sh`
 * in PATH, and finds this one.
 */
const idleShell = async (directory: string): Promise<string> => {
  const path = join(directory, '.no-scripts')
  await makePrivateDirectory(path)
  await writeFileAtomic(join(path, 'sh'), '#!/bin/sh\n', 0o700)
  return path
}

const npmInstall = async (place: NpmPlace, words: readonly string[]): Promise<void> => {
  const shell = await idleShell(place.directory)
  try {
    await runNpm(place, shell, words)
  } finally {
    await remove(shell)
  }
}

const runNpm = async ({directory, signal}: NpmPlace, shell: string, words: readonly string[]): Promise<void> => {
  const given = environment()
  const result = await run('npm', ['install', `--prefix=${directory}`, ...settings, ...words], {
    cwd: directory,
    signal,
    // For the npm that npm starts in a package from git.
    env: {...given, npm_config_ignore_scripts: 'true', PATH: [shell, given.PATH].filter(Boolean).join(delimiter)},
    notInstalled: {
      help: 'Install npm, which comes with Node.js; or unpack the plugin yourself and use `vmctl plugins link DIRECTORY`.',
    },
  })
  if (result.exitCode === 0) return
  throw new VmctlError('vmctl::plugin::install_failed', `npm ${describeExit(result)}: ${wordsOf(result.stderr)}`, {
    details: {exitCode: result.exitCode},
  })
}

/** What npm says, without its prefix and without the way to its log. */
const wordsOf = (stderr: string): string =>
  stripControls(stderr)
    .split('\n')
    .map((line) => line.replace(/^npm (?:error|ERR!)\s?/, '').trim())
    .filter((line) => !/^(?:$|at |A complete log of this run)/.test(line))
    .slice(0, 6)
    .join('; ')
