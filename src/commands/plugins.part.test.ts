import {execFileSync} from 'node:child_process'
import {existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync} from 'node:fs'
import {join, relative} from 'node:path'

import {beforeEach, describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {type PackageFiles, packPackage, pluginFiles, serveRegistry, writePackage} from '../../test/support/plugins.ts'
import {type CommandResult, spawnCommand} from '../../test/support/run-command.ts'

let root: string
let home: string
let env: NodeJS.ProcessEnv

beforeEach(() => {
  root = temporaryDirectory()
  home = join(root, 'data/vmctl')
  mkdirSync(home, {recursive: true, mode: 0o700})
  env = {
    XDG_DATA_HOME: join(root, 'data'),
    VMCTL_STATE_DIR: join(root, 'state'),
    npm_config_cache: join(root, 'cache'),
    // Nobody answers there: whatever is not on the host is an error.
    npm_config_registry: 'http://127.0.0.1:9/',
    npm_config_fetch_retries: '0',
    NO_COLOR: '1',
  }
})

const plugins = (...words: readonly string[]): Promise<CommandResult> => spawnCommand(['plugins', ...words, '--json'], {env, cwd: root})

const names = async (): Promise<string[]> => (await plugins()).json.plugins.map(({name}: {name: string}) => name)

const places = (): string[] => (existsSync(join(home, 'plugins')) ? readdirSync(join(home, 'plugins')) : [])

/** Whether vmctl knows a provision step of this type, which only a plugin that is loaded brings. */
const knows = async (type: string): Promise<boolean> => {
  const path = join(root, 'VMFile.kdl')
  writeFileSync(path, `vm "a" { image "debian"; ssh { user "me"; }; provision "${type}" { text "x"; }; }\n`)
  const {json, exitCode} = await spawnCommand(['validate', '--file', path, '--json'], {env})
  if (exitCode !== 0) expect(JSON.stringify(json)).toContain('unknown provision type')
  return exitCode === 0
}

/** Scripts of a package, and all of its code, tell that they were run. */
const telltale = (): {readonly pjson: Record<string, unknown>; readonly files: Record<string, string>; readonly ran: () => boolean} => {
  const mark = join(root, 'was-run')
  const script = `touch ${mark}`
  return {
    pjson: {scripts: {preinstall: script, install: script, postinstall: script, prepare: script, prepack: script}, main: './index.js'},
    files: {'index.js': `import {writeFileSync} from 'node:fs'\nwriteFileSync('${mark}', '')\n`},
    ran: () => existsSync(mark),
  }
}

/** Puts a package where it can be installed from, and says how that is written. */
const placeOf: Readonly<Record<string, (files: PackageFiles) => string>> = {
  'a directory': (files) => `./${relative(root, writePackage(join(root, 'src'), files))}`,
  'an archive': (files) => packPackage(root, files),
  'a repository': (files) => {
    const directory = writePackage(join(root, 'src'), files)
    const who = ['-c', 'user.name=me', '-c', 'user.email=me@here']
    for (const words of [
      ['init', '-q'],
      ['add', '.'],
      [...who, 'commit', '-qm', 'first'],
    ])
      execFileSync('git', ['-C', directory, ...words])
    return `git+file://${directory}`
  },
}

describe('install', () => {
  test.each(['a directory', 'an archive', 'a repository'])(
    'from %s, without a network: nothing of it is run, it works, and goes without a trace',
    async (what) => {
      const tell = telltale()
      const files = pluginFiles('greet', {
        name: 'vmctl-plugin-greet',
        version: '1.2.3',
        pjson: {...tell.pjson, peerDependencies: {vmctl: '*'}},
        files: tell.files,
      })
      const path = placeOf[what]?.(files) ?? ''
      const {json, exitCode} = await plugins('install', path)
      expect(json).toMatchObject({installed: {name: 'vmctl-plugin-greet', version: '1.2.3', type: 'user'}})
      expect([exitCode, tell.ran()]).toEqual([0, false])
      // What it wants of vmctl is this one.
      expect(realpathSync(join(json.installed.root, '../vmctl'))).toBe(realpathSync('.'))
      expect(await knows('greet')).toBe(true)
      expect((await plugins()).json).toEqual({plugins: [json.installed]})
      expect((await plugins('uninstall', 'vmctl-plugin-greet')).json).toMatchObject({uninstalled: {name: 'vmctl-plugin-greet'}})
      expect([await knows('greet'), await names(), places()]).toEqual([false, [], []])
    },
  )

  test('from a registry: the version that was asked for with what it needs; update takes the newest of that', async () => {
    await using registry = await serveRegistry(root)
    env = {...env, npm_config_registry: registry.url, npm_config_ignore_scripts: 'false'}
    const tell = telltale()
    const needs = {dependencies: {needed: '^1.0.0'}, peerDependencies: {vmctl: '*', beside: '1'}, scripts: tell.pjson.scripts}
    const extend = `import 'needed'\nimport 'beside'\n${pluginFiles('far', {name: ''}).files?.['extend.js'] ?? ''}`
    const version = (number: string) =>
      pluginFiles('far', {name: '@some/vmctl-plugin-far', version: number, pjson: needs, files: {'extend.js': extend}})
    registry.publish({name: 'needed', pjson: {scripts: tell.pjson.scripts, exports: './index.js'}, files: {'index.js': ''}})
    registry.publish({name: 'beside', pjson: {exports: './index.js'}, files: {'index.js': ''}})
    registry.publish(version('1.0.0'))
    registry.publish(version('2.0.0'))
    expect((await plugins('install', '@some/vmctl-plugin-far@^1')).json).toMatchObject({installed: {version: '1.0.0', from: '^1'}})
    expect([await knows('far'), tell.ran()]).toEqual([true, false])
    registry.publish(version('1.1.0'))
    expect((await plugins('update')).json).toMatchObject({updated: [{version: '1.1.0', from: '^1'}]})
    expect((await plugins('add', '@some/vmctl-plugin-far')).json).toMatchObject({installed: {version: '1.1.0', from: 'latest'}})
    expect([await names(), places().length]).toEqual([['@some/vmctl-plugin-far'], 1])
    expect((await plugins('install', 'vmctl-plugin-absent')).json).toMatchObject({
      error: {code: 'vmctl::plugin::install_failed', message: expect.stringContaining('404')},
    })
    expect([await names(), places().length]).toEqual([['@some/vmctl-plugin-far'], 1])
  })

  test('without npm: what is missing, and what to do; nothing is left behind', async () => {
    writePackage(join(root, 'src'), pluginFiles('greet', {name: 'vmctl-plugin-greet'}))
    env = {...env, PATH: root}
    const {json, exitCode} = await plugins('install', './src')
    expect([exitCode, json.error]).toMatchObject([4, {code: 'vmctl::host::not_installed', help: expect.stringContaining('Node.js')}])
    expect([await names(), places()]).toEqual([[], []])
  })

  test('Ctrl+C while npm is at work: nothing is left behind, and nobody works on', async () => {
    writePackage(join(root, 'src'), pluginFiles('greet', {name: 'vmctl-plugin-greet'}))
    mkdirSync(join(root, 'bin'))
    writeFileSync(join(root, 'bin/npm'), `#!/bin/sh\necho $$ >${join(root, 'pid')}\nexec sleep 60\n`, {mode: 0o755})
    env = {...env, PATH: `${join(root, 'bin')}:${process.env.PATH}`}
    const timer = setInterval(() => {
      if (!existsSync(join(root, 'pid'))) return
      clearInterval(timer)
      interrupt?.('SIGINT')
    }, 50)
    let interrupt: ((signal: NodeJS.Signals) => void) | undefined
    const ran = await spawnCommand(['plugins', 'install', './src'], {env, cwd: root, onOutput: (_output, kill) => (interrupt ??= kill)})
    expect([ran.exitCode, ran.stderr]).toEqual([130, expect.stringContaining('vmctl::interrupted')])
    expect([await names(), places()]).toEqual([[], []])
    expect(() => process.kill(Number(readFileSync(join(root, 'pid'), 'utf8')), 0)).toThrow('ESRCH')
  })

  test.each([
    ['an option', '--registry=http://127.0.0.1:9/', 2, 'vmctl::usage::invalid'],
    ['a short option', '-g', 2, 'vmctl::usage::invalid'],
    ['an upward name', 'a/../../b', 2, 'vmctl::usage::invalid'],
    ['an upward scope', '@../b', 2, 'vmctl::usage::invalid'],
    ['another package by an alias', 'a@npm:b', 2, 'vmctl::usage::invalid'],
    ['a version that is a path', 'a@/etc', 2, 'vmctl::usage::invalid'],
    ['two words', 'a b', 2, 'vmctl::usage::invalid'],
    ['a URL with a line feed', 'https://127.0.0.1:9/\n--global', 2, 'vmctl::usage::invalid'],
    ['nothing', '', 2, 'vmctl::usage::invalid'],
    ['a path with nothing there', './no/such.tgz', 3, 'vmctl::plugin::not_found'],
    ['a directory without a package', '.', 3, 'vmctl::plugin::not_found'],
    ['a server that does not answer', 'https://me:secret@127.0.0.1:9/a.tgz', 4, 'vmctl::plugin::install_failed'],
  ])('refused: %s', async (_what, text, status, code) => {
    const ran = await spawnCommand(['plugins', 'install', '--json', '--', text], {env, cwd: root})
    expect([ran.exitCode, ran.json]).toMatchObject([status, {error: {code}}])
    expect(ran.stdout + ran.stderr).not.toContain('secret')
    expect(existsSync(join(home, 'package.json'))).toBe(false)
    expect(places()).toEqual([])
  })

  test.each([
    ['no plugin', {name: 'plain'}],
    ['vmctl itself', pluginFiles('x', {name: 'vmctl'})],
    ['a package with an upward name', pluginFiles('x', {name: '../../../evil'})],
    ['a package with the name of an option', pluginFiles('x', {name: '--global'})],
  ])('refused, as a directory and as an archive: %s', async (_what, files) => {
    writePackage(join(root, 'src'), files)
    const archive = packPackage(root, files)
    for (const words of [
      ['install', './src'],
      ['link', './src'],
      ['install', archive],
    ]) {
      const {json, exitCode} = await plugins(...words)
      expect([exitCode, ['vmctl::plugin::invalid', 'vmctl::plugin::install_failed']], words.join(' ')).toEqual([
        4,
        expect.arrayContaining([json.error.code]),
      ])
    }
    expect([readdirSync(home).toSorted(), places()]).toEqual([['locks', 'plugins', 'vms'], []])
  })
})

test('link uses a plugin from where it is; unlink leaves it there', async () => {
  const tell = telltale()
  writePackage(join(root, 'mine'), pluginFiles('mine', {name: 'vmctl-plugin-mine', pjson: tell.pjson}))
  expect((await plugins('link', 'mine')).json).toMatchObject({linked: {name: 'vmctl-plugin-mine', type: 'link', root: join(root, 'mine')}})
  expect([await knows('mine'), tell.ran()]).toEqual([true, false])
  writePackage(join(root, 'mine'), pluginFiles('yours', {name: 'vmctl-plugin-mine', version: '2.0.0'}))
  expect([await knows('mine'), await knows('yours')]).toEqual([false, true])
  // By another name, from the same place: there is one of it.
  writePackage(join(root, 'mine'), pluginFiles('yours', {name: 'vmctl-plugin-yours'}))
  await plugins('link', 'mine')
  expect(await names()).toEqual(['vmctl-plugin-yours'])
  expect((await plugins('unlink', './mine')).exitCode).toBe(0)
  expect([await knows('yours'), await names(), existsSync(join(root, 'mine/extend.js'))]).toEqual([false, [], true])
  expect((await plugins('unlink', 'mine')).json).toMatchObject({error: {code: 'vmctl::plugin::not_found'}})
})

test('plugins that @oclif/plugin-plugins has installed and linked work on, and can be removed', async () => {
  writePackage(join(home, 'node_modules/vmctl-plugin-old'), pluginFiles('old', {name: 'vmctl-plugin-old'}))
  writePackage(join(home, 'node_modules/vmctl-plugin-older'), pluginFiles('older', {name: 'vmctl-plugin-older'}))
  const linked = writePackage(join(root, 'linked'), pluginFiles('linked', {name: 'vmctl-plugin-linked'}))
  const record = {
    name: 'vmctl',
    dependencies: {'vmctl-plugin-old': '^1.0.0', 'vmctl-plugin-older': '^1.0.0'},
    oclif: {
      plugins: [
        {name: 'vmctl-plugin-old', tag: 'latest', type: 'user'},
        {name: 'vmctl-plugin-older', tag: 'latest', type: 'user'},
        {name: 'vmctl-plugin-linked', root: linked, type: 'link'},
      ],
      schema: 1,
    },
    private: true,
    kept: 'as it was',
  }
  writeFileSync(join(home, 'package.json'), JSON.stringify(record))
  writeFileSync(join(home, 'package-lock.json'), '{}')
  expect([await knows('old'), await knows('linked')]).toEqual([true, true])
  expect(await names()).toEqual(['vmctl-plugin-linked', 'vmctl-plugin-old', 'vmctl-plugin-older'])
  await plugins('uninstall', 'vmctl-plugin-old')
  expect([await knows('old'), await knows('older'), await knows('linked')]).toEqual([false, true, true])
  expect(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))).toEqual({
    ...record,
    dependencies: {'vmctl-plugin-older': '^1.0.0'},
    oclif: {...record.oclif, plugins: record.oclif.plugins.slice(1)},
  })
  await plugins('remove', 'vmctl-plugin-older')
  await plugins('unlink', 'vmctl-plugin-linked')
  expect([await names(), readdirSync(home).toSorted()]).toEqual([[], ['locks', 'package.json', 'vms']])
})

test('what is not there any more is shown as such, and can be removed; a damaged list is an error', async () => {
  const entry = {name: 'vmctl-plugin-gone', root: join(root, 'gone'), type: 'link'}
  writeFileSync(join(home, 'package.json'), JSON.stringify({oclif: {plugins: [entry]}}))
  expect((await plugins()).json).toEqual({plugins: [entry]})
  expect((await plugins('uninstall', 'vmctl-plugin-gon')).json).toMatchObject({
    error: {code: 'vmctl::plugin::not_found', help: expect.stringContaining('vmctl-plugin-gone')},
  })
  expect((await plugins('uninstall', 'vmctl-plugin-gone')).exitCode).toBe(0)
  writePackage(root, pluginFiles('x', {name: 'x'}))
  for (const [text = '', ...words] of [
    ['{"oclif": '],
    ['[]', 'link', '.'],
    ['{"oclif": 1}', 'uninstall', 'x'],
    ['{"oclif": {"plugins": {}}}', 'update'],
  ]) {
    writeFileSync(join(home, 'package.json'), text)
    const {json, exitCode} = await plugins(...words)
    expect([exitCode, json.error?.code], text).toEqual([5, 'vmctl::plugin::record_damaged'])
    expect(readFileSync(join(home, 'package.json'), 'utf8')).toBe(text)
  }
})

test('many at once: each finds its place in the list', async () => {
  const some = ['a', 'b', 'c', 'd', 'e']
  for (const one of some) writePackage(join(root, one), pluginFiles(one, {name: `vmctl-plugin-${one}`}))
  const ended = await Promise.all(some.map((one, index) => plugins(index % 2 === 0 ? 'link' : 'install', `./${one}`)))
  expect(ended.map(({exitCode}) => exitCode)).toEqual([0, 0, 0, 0, 0])
  expect(await names()).toEqual(some.map((one) => `vmctl-plugin-${one}`))
  expect(places()).toHaveLength(2)
})

test('killed at any moment: the list is the old one or the new one, and the next run clears up', {timeout: 240_000}, async () => {
  const version = (number: string) => writePackage(join(root, number), pluginFiles('greet', {name: 'vmctl-plugin-greet', version: number}))
  version('1.0.0')
  version('2.0.0')
  const acts = join(root, 'acts')
  await plugins('install', './1.0.0')
  const quiet = env
  env = {...quiet, VMCTL_ACTS: acts}
  await plugins('install', './1.0.0')
  const points = readFileSync(acts, 'utf8').trim().split('\n').length
  expect(points).toBeGreaterThan(8)
  const versions: string[] = []
  for (let at = 1; at <= points; at++) {
    // Once the new one is in the list, it is the old one of the next attempt.
    env = {...quiet, VMCTL_KILL_AT: String(at)}
    expect((await plugins('install', versions.at(-1) === '2.0.0' ? './1.0.0' : './2.0.0')).exitCode).toBe(-1)
    const {oclif} = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
    expect(oclif.plugins).toHaveLength(1)
    versions.push(JSON.parse(readFileSync(join(oclif.plugins[0].root, 'package.json'), 'utf8')).version)
  }
  expect(new Set(versions)).toEqual(new Set(['1.0.0', '2.0.0']))
  env = quiet
  await plugins('install', './2.0.0')
  expect([await knows('greet'), places().length]).toEqual([true, 1])
})
