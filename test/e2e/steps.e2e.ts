import {chmodSync, mkdirSync, symlinkSync} from 'node:fs'

import {expect} from 'vitest'

import {eventually, inline, microVm} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess} from '../support/vm-lab.ts'
import {scenario} from '../support/vm-scenario.ts'

/** What file and shell steps do in the guest: modes, owners, trees, arguments, environment, privileges, time limits. One VM for all. */
const {lab, step, check} = scenario('steps')

const provisionWith = (...steps: readonly string[]): void => {
  lab.vmfile(microVm('box', steps.join('\n')))
}
const fileStep = (source: string, destination: string, settings = ''): string =>
  `    provision "file" { source ${JSON.stringify(source)}; destination ${JSON.stringify(destination)}; ${settings} }`
const script = (path: string, settings = ''): string => `    provision "shell" { script ${JSON.stringify(path)}; ${settings} }`
const stat = (path: string): Promise<string> => lab.guest('box', `stat -c '%a %U:%G' ${path}`)

step('a file keeps its mode, or gets the one that is asked for', async () => {
  lab.write('plain.txt', 'plain\n', 0o640)
  lab.write('tool.sh', '#!/bin/sh\necho tool\n', 0o755)
  chmodSync(lab.write('secret.txt', 'secret\n'), 0o644)
  provisionWith(
    fileStep('plain.txt', '/home/dev/plain.txt'),
    fileStep('tool.sh', '/home/dev/tool.sh'),
    fileStep('secret.txt', '/home/dev/secret.txt', 'mode "0400"'),
    fileStep('plain.txt', '/etc/app.conf', 'privileged #true; owner "root:users"; mode "0604"'),
  )
  await lab.ok('up')
  expect(await stat('plain.txt')).toBe('640 dev:dev')
  expect(await stat('./tool.sh')).toBe('755 dev:dev')
  expect(await lab.guest('box', './tool.sh')).toBe('tool')
  expect(await stat('secret.txt')).toBe('400 dev:dev')
  expect(await stat('/etc/app.conf')).toBe('604 root:users')
})

check('a file that may not be written fails the step and says which', async () => {
  provisionWith(fileStep('plain.txt', '/etc/forbidden.conf'))
  const outcome = expectFailure(await lab.vmctl('up'), 6, 'vmctl::guest::copy_failed')
  expect(outcome.stderr).toMatch(/\/etc\/forbidden\.conf.*denied/)
  await expect(lab.guest('box', 'ls /etc/forbidden.conf')).rejects.toThrow()
})

check('a file is replaced in one step: a reader sees the old or the new content and never a part', async () => {
  lab.write('big.bin', Buffer.alloc(4 * 2 ** 20, 'a'))
  provisionWith(fileStep('big.bin', '/home/dev/big.bin'))
  await lab.ok('up')
  lab.write('big.bin', Buffer.alloc(4 * 2 ** 20, 'b'))
  const watch = lab.start([
    'ssh',
    'box',
    '--',
    'while [ ! -e stop ]; do stat -c %s big.bin; head -c 1 big.bin; echo; sleep 0.1; done | sort | uniq -c | sed "s/^ *[0-9]* //"',
  ])
  const inode = await lab.guest('box', 'stat -c %i big.bin')
  await lab.ok('up')
  expect(await lab.guest('box', 'stat -c %i big.bin; touch stop')).not.toBe(inode)
  const seen = expectSuccess(await watch.outcome)
    .stdout.split('\n')
    .filter(Boolean)
  expect(seen).toContain('4194304')
  expect(['4194304', 'a', 'b']).toEqual(expect.arrayContaining(seen))
  expect(await lab.guest('box', 'ls -A | grep -c vmctl || true')).toBe('0')
})

check('a directory goes over with symbolic links, modes and odd names, and leaves what was there', async () => {
  const names = ['with space', 'quote\'and"double', 'newline\nname', '-rf', 'ünïcödé', '$HOME', '*', 'back\\slash']
  for (const name of names) lab.write(`tree/sub/${name}`, `content of ${name}`)
  lab.write('tree/run.sh', '#!/bin/sh\n', 0o750)
  mkdirSync(`${lab.project}/tree/empty`)
  symlinkSync('sub/with space', `${lab.project}/tree/link`)
  symlinkSync('/nowhere/at/all', `${lab.project}/tree/dangling`)
  await lab.guest('box', 'mkdir -p target/sub; echo kept > target/own; echo old > target/run.sh')
  provisionWith(fileStep('tree', '/home/dev/target'), fileStep('tree', '/srv/tree', 'privileged #true; owner "daemon"'))
  await lab.ok('up')
  const listed = await lab.guest('box', 'cd target/sub; for f in *; do printf "%s\\0" "$f"; cat "./$f"; printf "\\0"; done | base64')
  const fields = Buffer.from(listed, 'base64').toString().split('\0')
  expect(Object.fromEntries(names.map((name) => [name, fields[fields.indexOf(name) + 1]]))).toEqual(
    Object.fromEntries(names.map((name) => [name, `content of ${name}`])),
  )
  expect(
    await lab.guest(
      'box',
      'readlink target/link; readlink target/dangling; cat target/own; ls -d target/empty; stat -c "%a %U" target/run.sh',
    ),
  ).toBe('sub/with space\n/nowhere/at/all\nkept\ntarget/empty\n750 dev')
  expect(await lab.guest('box', 'stat -c %U /srv/tree/run.sh /srv/tree/sub/with*; ls -A target | grep -c vmctl || true')).toBe(
    'daemon\ndaemon\n0',
  )
})

check('a script runs with its own first line, with arguments and variables as they are', async () => {
  lab.write('show.sh', '#!/bin/sh\nfor one in "$@"; do echo "<$one>"; done\necho "[$GREETING] [$EMPTY]"\n', 0o644)
  lab.write('awk.awk', '#!/usr/bin/awk -f\nBEGIN {print "awk runs", 6 * 7}\n')
  provisionWith(
    script('show.sh', `args "two words" "it's" "\\"q\\"" "$HOME" "" "*"; env GREETING="hello 'you' $x" EMPTY=""`),
    script('awk.awk'),
    inline('echo "inline [$LEVEL] $0"; cd /; pwd', 'env LEVEL="a b"'),
  )
  const {stdout} = await lab.ok('up')
  expect(stdout).toContain(`<two words>\n<it's>\n<"q">\n<$HOME>\n<>\n<*>\n[hello 'you' $x] []\n`)
  expect(stdout).toContain('awk runs 42\n')
  expect(stdout).toMatch(/^inline \[a b\]/m)
})

check('privileged runs as root, and without it a step is the user', async () => {
  provisionWith(
    inline('id -u > /root/who', 'privileged #true'),
    inline('id -un; test "$HOME" = /home/dev'),
    script('show.sh', 'privileged #true; args "as root"; env GREETING="hi"'),
  )
  const {stdout} = await lab.ok('up')
  expect(stdout).toContain('dev\n')
  expect(stdout).toContain('<as root>\n[hi] []\n')
  expect(await lab.guest('box', 'sudo cat /root/who')).toBe('0')
})

check('a secret of a step does not show in the process list of the guest', async () => {
  provisionWith(inline('ps -ef > ~/list; ps -o pid,args >> ~/list; sleep 0.5; true', 'env PASSWORD="hunter2"'))
  await lab.ok('up')
  const list = await lab.guest('box', 'cat list')
  expect(list).toContain('ps -o pid,args')
  expect(list).not.toContain('hunter2')
})

check('a step that takes too long is ended with all of its processes', async () => {
  provisionWith(inline('sleep 7777 & sleep 7778 | sleep 7779; echo never', 'timeout "2s"'))
  const outcome = expectFailure(await lab.vmctl('up'), 7, 'vmctl::provision::timed_out')
  expect(outcome.stderr).toMatch(/step 1 .* did not finish within 2/i)
  expect(await lab.guest('box', 'ps -ef | grep -c "[s]leep 777" || true')).toBe('0')
})

check('a privileged step that takes too long and ignores SIGTERM is killed as well', async () => {
  provisionWith(inline("trap '' TERM; sleep 8887 & for n in 1 2 3 4 5 6 7 8 9; do sleep 8888; done", 'timeout "1s"; privileged #true'))
  expectFailure(await lab.vmctl('up'), 7, 'vmctl::provision::timed_out')
  expect(await lab.guest('box', 'ps -ef | grep -c "[s]leep 888" || true')).toBe('0')
})

check('Ctrl+C ends the step in the guest and vmctl with status 130', async () => {
  provisionWith(inline('echo begun; sleep 9999'))
  const running = lab.start(['up'])
  await eventually(() => expect(running.written.stdout).toContain('begun'))
  running.kill('SIGINT')
  const outcome = await running.outcome
  expect(outcome.exitCode, outcome.stderr).toBe(130)
  await eventually(async () => expect(await lab.guest('box', 'ps -ef | grep -c "[s]leep 9999" || true')).toBe('0'))
  expect((await lab.status('box')).state).toBe('running')
})

check('large output of both streams arrives whole, in order and in the log too', async () => {
  provisionWith(
    inline(
      'i=0; while [ $i -lt 5000 ]; do echo "out $i"; i=$((i+1)); done & i=0; while [ $i -lt 5000 ]; do echo "err $i"; i=$((i+1)); done >&2; wait',
    ),
  )
  const outcome = await lab.ok('up')
  const numbers = (text: string, word: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith(`${word} `))
      .map((line) => Number(line.slice(4)))
  const all = Array.from({length: 5000}, (_, index) => index)
  expect(numbers(outcome.stdout, 'out')).toEqual(all)
  expect(numbers(outcome.stderr, 'err')).toEqual(all)
  // In the log the two streams are interleaved by chunks, which may cut lines.
  const logged = lab.read('box', 'provision.log')
  expect(logged).toContain('out 4999')
  expect(logged).toContain('err 4999')
})

check('no job files are left in the guest', async () => {
  expect(await lab.guest('box', 'ls -d /var/tmp/vmctl-* /tmp/vmctl-* 2>/dev/null | wc -l')).toBe('0')
})

check('a step that reboots the guest is never called done', async () => {
  provisionWith(inline('sync; echo going; reboot -f; sleep 60', 'privileged #true'))
  const outcome = await lab.vmctl('up')
  expectFailure(outcome, 6, 'vmctl::provision::unknown_outcome')
  expect((await lab.status('box')).provision[0]?.state).not.toBe('done')
})
