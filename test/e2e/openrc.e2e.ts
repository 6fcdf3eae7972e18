import {createHash} from 'node:crypto'
import {execFileSync, spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import type {VmResult} from '../../src/engine/converge/result.ts'
import {eventually, inline} from '../support/vm-guests.ts'
import {scenario} from '../support/vm-scenario.ts'

/**
 * A guest with OpenRC in place of systemd, doas in place of sudo, and an SSH server that does not ask PAM, as Alpine has them:
 * the whole cloud-init block, volumes with xfs, shares, networks, steps; and all of it again after a stop and a start.
 */
const {lab, step, check} = scenario('openrc', {missing: inject('openrc') === '' ? 'the OpenRC guest was not built' : undefined})

const vm = 'shop.box'
const ownKey = join(lab.root, 'own')

const vmfile = (size: string): void =>
  lab.vmfile(`
project "shop"
network "default"
volume "data" size=${JSON.stringify(size)} filesystem="xfs"
vm "box" {
    image ${JSON.stringify(inject('openrc'))} os="openrc"
    memory 512
    cloud-init {
        hostname "box"
        ssh-key ${JSON.stringify(`${ownKey}.pub`)}
        timezone "Europe/Paris"
        locale "C.UTF-8"
        password "geheim"
        console-autologin #true
        package-update #true
        packages "vmctl-hello"
        write-file "/etc/apt/sources.list" { content "deb [trusted=yes] file:/srv/repository ./\\n"; }
        write-file "/srv/repository/Packages" source="Packages"
        write-file "/srv/repository/hello.deb" source="hello.deb"
        write-file "/srv/data/own" { content "a=1\\n"; owner "dev:daemon"; permissions "0640"; }
        bootcmd "rm -f /etc/apt/sources.list.d/*"
        bootcmd "echo boot >>/var/tmp/boots"
        runcmd "vmctl-hello >/var/tmp/ran"
        runcmd "sh" "-c" "echo \\"$1\\" >>/var/tmp/ran" "x" "two  words"
    }
    env MODE="prod"
    volume "data" "/srv/data" { options "noatime"; }
    share "www" "/srv/www"
    ssh { user "dev"; private-key ${JSON.stringify(ownKey)}; }
${inline('echo "$(id -un), $(cat /proc/1/comm), mode $MODE"; rc-status default')}
${inline('echo "$(id -un) by doas"; ! command -v sudo; ! command -v systemctl', 'privileged #true')}
}
`)

/** A package and its index, for an apt that needs no network. */
const makeRepository = (): void => {
  lab.write('hello/DEBIAN/control', 'Package: vmctl-hello\nVersion: 1\nArchitecture: all\nMaintainer: vmctl\nDescription: says hello\n')
  lab.write('hello/usr/bin/vmctl-hello', '#!/bin/sh\necho hello from a package\n', 0o755)
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-b', 'hello', 'hello.deb'], {cwd: lab.project, stdio: 'ignore'})
  const bytes = readFileSync(join(lab.project, 'hello.deb'))
  const control = readFileSync(join(lab.project, 'hello/DEBIAN/control'), 'utf8')
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  lab.write('Packages', `${control}Filename: ./hello.deb\nSize: ${bytes.length}\nSHA256: ${sha256}\n`)
}

step(
  'up brings it to its end: services of OpenRC, root by doas, packages',
  async () => {
    expect(spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'own', '-f', ownKey]).status).toBe(0)
    makeRepository()
    lab.write('www/index.html', 'from the host\n')
    vmfile('400M')
    const {stdout} = await lab.ok('up')
    expect(stdout).toContain('dev, init, mode prod\n')
    expect(stdout).toMatch(/cloud-config +\[ +started/)
    expect(stdout).toContain('root by doas\n')
    expect((await lab.status(vm)).provision.map(({state}) => state)).toEqual(['done', 'done'])
    // Twice brings nothing new.
    const {vms} = await lab.json<{vms: VmResult[]}>('up')
    expect(vms[0]?.actions).toEqual([])
  },
  400_000,
)

/** What both boots have to show; in one session, since each costs seconds of an emulated processor. */
const arrived = async (): Promise<void> => {
  const questions = [
    'hostname; echo $SHELL; date +%Z; grep LANG /etc/default/locale; cat /var/tmp/ran',
    'stat -c "%a %U %G" /srv/data/own; cat /srv/data/own',
    'grep MODE /etc/environment; grep "^10" /etc/hosts; ip -4 -o addr show eth1 | grep -o "inet [^ ]*"',
    'findmnt -n -o FSTYPE /srv/data; findmnt -n -o OPTIONS /srv/data; findmnt -n -o FSTYPE /srv/www; cat /srv/www/index.html',
  ]
  expect((await lab.guest(vm, questions.join('; '))).split('\n')).toEqual([
    ...['box', '/bin/sh', expect.stringMatching(/^CES?T$/), expect.stringMatching(/^LANG="?C\.UTF-8"?$/)],
    ...['hello from a package', 'two  words'],
    ...['640 dev daemon', 'a=1'],
    ...['MODE="prod"', expect.stringMatching(/^10\.10\.0\.2 .*\bbox\b/), 'inet 10.10.0.2/24'],
    ...['xfs', expect.stringMatching(/^rw,noatime/), '9p', 'from the host'],
  ])
  // The console has logged its user in; init gets to it when the last service has started.
  await eventually(async () => expect(await lab.guest(vm, 'ps -t ttyS0 -o user=,comm=')).toMatch(/^dev +sh$/m), {
    timeoutMs: 90_000,
    everyMs: 1000,
  })
}

check('the whole cloud-init block has arrived, and volumes, shares and names', async () => {
  await arrived()
  const fits = 'my @dev = getpwnam("dev"); print crypt("geheim", $dev[1]) eq $dev[1] ? "fits" : "does not"'
  const shown = await lab.guest(
    vm,
    `cat /var/tmp/boots; doas /sbin/blkid -s LABEL -o value /dev/vdb; doas perl -e '${fits}'; echo; cloud-init status`,
  )
  expect(shown).toMatch(/^boot\nvol-\w+\nfits\nstatus: done$/)
})

check('the console is a shell of the user', async () => {
  const terminal = lab.start(['console', vm])
  await eventually(() => expect(terminal.written.stderr).toContain('Connected'))
  terminal.type('\r')
  terminal.type('echo "$(id -un) at $(tty), mode $MODE"\r')
  await eventually(() => expect(terminal.written.stdout).toContain('dev at /dev/ttyS0, mode prod'))
  terminal.kill()
  await terminal.outcome
})

check('exec passes exit status, words and the rights of root by doas', async () => {
  const outcome = await lab.vmctl('exec', vm, '--', 'doas', '-n', 'sh', '-c', 'echo "$(id -un) $1"; exit 7', 'sh', 'a  b')
  expect([outcome.exitCode, outcome.stdout]).toEqual([7, 'root a  b\n'])
})

check('a password hash that fits nobody, which the user has without a password, does not lock its key out', async () => {
  await lab.guest(vm, `doas /usr/sbin/usermod -p '*' dev; doas sh -c "echo kept >/srv/data/kept"`)
  expect(await lab.guest(vm, 'id -un; doas -n id -un')).toBe('dev\nroot')
})

step('down powers it off in good order, nothing is killed', async () => {
  await lab.ok('down')
  expect(lab.read(vm, 'console.log')).toMatch(/Unmounting file systems[^]*reboot: Power down/)
})

step(
  'after another start all is as it was, what is for the first boot was not done again, and the volume has grown',
  async () => {
    vmfile('800M')
    await lab.ok('up')
    await arrived()
    const shown = await lab.guest(
      vm,
      'cat /srv/data/kept; wc -l </var/tmp/boots; wc -l </var/tmp/ran; df -Pm /srv/data | tail -n 1; doas dmesg',
    )
    const [kept, boots, ran, size = '', ...messages] = shown.split('\n')
    expect([kept, boots, ran]).toEqual(['kept', '2', '2'])
    expect(Number(size.split(/ +/)[1])).toBeGreaterThan(600)
    // Neither file system had anything to recover.
    expect(messages.filter((line) => /recover/i.test(line))).toEqual([])
    expect(messages.join('\n')).toContain('XFS (vdb): Mounting')
  },
  300_000,
)
