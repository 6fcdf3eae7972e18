import {execFileSync, spawnSync} from 'node:child_process'
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, inject} from 'vitest'

import type {VmResult} from '../../src/engine/converge/result.ts'
import type {PsRow} from '../../src/engine/show/ps.ts'
import {eventually, inline} from '../support/vm-guests.ts'
import {expectFailure, expectSuccess, type Outcome} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/**
 * The tutorials of the book on a guest as users have it, with systemd, OpenSSH and cloud-init: the declarative workflow,
 * provisioning in stages, several VMs of one file, raw user-data. A third VM fails, and harms nobody.
 */
const {lab, step, check} = scenario('debian', {missing: inject('debian') === '' ? 'the Debian guest was not built' : undefined})

const ownKey = join(lab.root, 'own')

const userData = (key: string, more = ''): string => `#cloud-config
users:
  - name: admin
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    ssh_authorized_keys:
      - ${key}
write_files:
  - path: /etc/raw
    content: untouched
${more}`

const webserver = (more = ''): string => `
vm "webserver" {
    image ${JSON.stringify(inject('debian'))}
    vcpus 2
    memory 512
    disk 4
    cloud-init {
        hostname "webserver"
        timezone "Europe/Paris"
        password "geheim"
        console-autologin #true
        bootcmd "echo boot >>/var/tmp/boots"
        write-file "/etc/motd" { content "hällo\\n"; }
        write-file "/opt/logo.bin" source="logo.bin" permissions="0600"
        write-file "/srv/app.conf" { content "a=1\\n"; owner "ubuntu:ubuntu"; permissions "0640"; }
        runcmd "wc -c </srv/app.conf >/var/tmp/ran"
        runcmd "sh" "-c" "echo \\"$1\\" >>/var/tmp/ran" "x" "two  words"
    }
    env MODE="prod" MOTTO="it's # fine"
    healthcheck {
        http "http://localhost:8080/index.html"
        interval "1s"
        start-period "60s"
    }
    ssh {
        user "ubuntu"
    }
    // Stage 1: what apt-get would do
    provision "shell" {
        inline "sudo mkdir -p /var/www/html && echo installed"
    }
    provision "shell" {
        inline "echo 'Hello from vmctl!' | sudo tee /var/www/html/index.html"
    }
    // Stage 2: upload the source
    provision "file" {
        source "src.tar.gz"
        destination "/tmp/src.tar.gz"
    }
    // Stage 3: build
    provision "shell" {
        inline "cd /tmp && tar xzf src.tar.gz && cd src && sh ./build.sh"
    }
    provision "shell" {
        inline "cd /var/www/html && (setsid python3 -m http.server 8080 >/dev/null 2>&1 &) && echo \\"mode $MODE\\""
    }
    provision "shell" {
        script "scripts/install.sh"
        args "--prefix" "/usr/local"
        privileged #true
    }
${more}
}
`

const db = `
vm "db" {
    image ${JSON.stringify(inject('debian'))}
    memory 512
    cloud-init {
        user-data "db.yaml"
    }
    ssh {
        user "admin"
        private-key ${JSON.stringify(ownKey)}
    }
    provision "shell" { inline "cat /etc/raw; hostname"; }
}
`

const unlucky = `
vm "unlucky" {
    image ${JSON.stringify(inject('micro'))}
    memory 192
    cloud-init { user-data "unlucky.yaml"; }
    ssh { user "admin"; private-key ${JSON.stringify(ownKey)}; }
${inline('echo must not run')}
}
`

const logo = Buffer.from([0x89, 0x50, 0, 0xff, 0x0a])

let outcome: Outcome

step(
  'up brings up all VMs of the file in parallel; one whose cloud-init fails is reported and harms no other',
  async () => {
    expect(spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'own', '-f', ownKey]).status).toBe(0)
    const key = readFileSync(`${ownKey}.pub`, 'utf8').trim()
    lab.write('db.yaml', userData(key))
    writeFileSync(join(lab.project, 'logo.bin'), logo)
    lab.write('unlucky.yaml', userData(key, 'runcmd:\n  - echo going wrong\n  - exit 3\n'))
    lab.write('src/build.sh', 'echo "#!/bin/sh" > tool; echo "echo tool works" >> tool; chmod +x tool; echo built\n')
    mkdirSync(join(lab.project, 'scripts'))
    lab.write(
      'scripts/install.sh',
      '#!/bin/bash\nset -euo pipefail\n[[ $1 == --prefix ]]\ninstall /tmp/src/tool "$2/bin/tool"\necho "installed by $(id -un)"\n',
      0o755,
    )
    execFileSync('tar', ['czf', 'src.tar.gz', 'src'], {cwd: lab.project})
    lab.vmfile(webserver() + db + unlucky)
    outcome = expectFailure(await lab.vmctl('up'), 6, 'vmctl::vms::failed')
    expect(outcome.stderr).toMatch(/1 of 3 VMs failed after .*: unlucky\./)
    expect(outcome.stderr).toContain('[vmctl::cloudinit::failed]')
    expect(outcome.stdout).not.toContain('must not run')
    expect(qemusBelow(lab.root)).toHaveLength(3)
  },
  400_000,
)

check('the output of VMs that are provisioned at the same time says whose each line is', () => {
  const lines = outcome.stdout.split('\n')
  const of = (vm: string): string[] => lines.filter((line) => line.startsWith(`${vm} | `)).map((line) => line.slice(vm.length + 3))
  const all = [...of('webserver'), ...lines]
  for (const text of ['installed', 'Hello from vmctl!', 'built', 'installed by root']) expect(all).toContain(text)
  expect(lab.read('webserver', 'provision.log')).toContain('installed by root')
  expect(lab.read('db', 'provision.log')).toContain('untouched')
})

check('the guest is what the VMFile says: host name, user, disk that has grown, and nothing of root', async () => {
  expect(await lab.guest('webserver', 'hostname; id -un; echo $SHELL; sudo id -un')).toBe('webserver\nubuntu\n/bin/bash\nroot')
  expect(Number(await lab.guest('webserver', 'df -BM --output=size / | tail -1 | tr -dc 0-9'))).toBeGreaterThan(3500)
  expect(Number(await lab.guest('webserver', 'cat /sys/block/vda/size'))).toBe((4 * 2 ** 30) / 512)
  expect(await lab.guest('webserver', 'cat /var/www/html/index.html; tool')).toBe('Hello from vmctl!\ntool works')
  const root = await lab.run(['ssh', 'webserver', '--user', 'root', '--', 'true'])
  expect(root.exitCode).not.toBe(0)
})

check('the whole cloud-init block has arrived: files of any bytes and owner, commands, time zone, password, console', async () => {
  const shown = await lab.guest(
    'webserver',
    'cat /var/tmp/boots /var/tmp/ran /etc/motd; stat -c "%a %U %G" /srv/app.conf; sudo stat -c "%a %U" /opt/logo.bin; date +%Z; sudo base64 /opt/logo.bin',
  )
  expect(shown.split('\n')).toEqual([
    'boot',
    '4',
    'two  words',
    'hällo',
    '640 ubuntu ubuntu',
    '600 root',
    expect.stringMatching(/^CES?T$/),
    logo.toString('base64'),
  ])
  expect(await lab.guest('webserver', 'sudo getent shadow ubuntu')).toMatch(/^ubuntu:\$6\$[./0-9A-Za-z]{16}\$[./0-9A-Za-z]{86}:/)
  expect(lab.read('webserver', 'vm.json')).not.toContain('geheim')
  await eventually(async () => expect(await lab.guest('webserver', 'who')).toMatch(/^ubuntu +ttyS0/m))
})

check('env is there in every step, and at every log-in what /etc/environment can hold', async () => {
  expect(await lab.guest('webserver', 'echo "$MODE|$MOTTO"')).toBe('prod|')
  expect(outcome.stderr).toContain('MOTTO of its env cannot stand in /etc/environment')
  expect(lab.read('webserver', 'provision.log')).toContain('mode prod')
})

check('health is asked in the guest; ps tells of all VMs', async () => {
  const {vms} = await lab.json<{vms: PsRow[]}>('ps', 'webserver', '--wait')
  expect(vms).toMatchObject([{name: 'webserver', state: 'running', health: 'healthy', output: expect.stringContaining('200')}])
  expect((await lab.status('webserver')).health).toBe('healthy')
})

check('cloud-init is content: its own schema check passes, and it reports no error', async () => {
  expect(await lab.guest('webserver', 'cloud-init status --wait --long')).toMatch(/^status: done$/m)
  expect(await lab.guest('webserver', 'sudo cloud-init schema --system 2>&1')).toMatch(/^Valid /m)
  expect(await lab.guest('webserver', 'systemctl is-system-running || systemctl --failed --no-legend')).not.toContain('cloud')
})

check('raw user-data is passed through, its own key logs in, and the host key is the one that vmctl made', async () => {
  expect(await lab.guest('db', 'cat /etc/raw; echo; id -un')).toBe('untouched\nadmin')
  expect(outcome.stderr).not.toContain('host key of its own')
  const shown = await lab.guest('db', 'sudo cat /etc/ssh/ssh_host_ed25519_key.pub')
  expect(lab.read('db', 'known_hosts')).toContain(shown.split(' ')[1])
})

check('the real ssh and sftp clients work with the key and the known_hosts of the VM', async () => {
  const {sshPort, id} = await lab.status('webserver')
  const directory = lab.directory('webserver')
  const options = [
    '-F',
    'none',
    '-i',
    `${directory}/id_ed25519_generated`,
    ...[
      'BatchMode=yes',
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile=${directory}/known_hosts`,
      'GlobalKnownHostsFile=/dev/null',
      `HostKeyAlias=vmctl-${id}`,
    ].flatMap((option) => ['-o', option]),
  ]
  const ssh = spawnSync('ssh', [...options, '-p', String(sshPort), 'ubuntu@127.0.0.1', 'tool'], {encoding: 'utf8'})
  expect(ssh.stdout, ssh.stderr).toBe('tool works\n')
  const batch = `put ${lab.project}/src.tar.gz /tmp/again.tar.gz\nget /tmp/again.tar.gz ${lab.root}/again.tar.gz\n`
  const sftp = spawnSync('sftp', ['-q', ...options, '-P', String(sshPort), '-b', '-', 'ubuntu@127.0.0.1'], {input: batch, encoding: 'utf8'})
  expect(sftp.status, sftp.stderr).toBe(0)
  expect(readFileSync(`${lab.root}/again.tar.gz`).equals(readFileSync(`${lab.project}/src.tar.gz`))).toBe(true)
})

check('ssh asks for a name when the file has several VMs', async () => {
  const refused = expectFailure(await lab.vmctl('ssh', '--', 'true'), 2, 'vmctl::usage::invalid')
  expect(refused.stderr).toContain('webserver, db, unlucky')
  expect((await lab.ok('ssh', '--name', 'db', '--', 'hostname')).stdout).toBe('db\n')
})

step('up --name brings up one VM only, and a step that was added is the only one that runs', async () => {
  const index = readFileSync(lab.directory('db') + '/journal.json', 'utf8')
  lab.vmfile(webserver(inline('systemctl is-active ssh; echo added')) + db + unlucky)
  const {stdout, stderr} = await lab.ok('up', '--name', 'webserver')
  expect(stdout).toContain('active\nadded\n')
  expect(`${stdout}${stderr}`).not.toContain('built')
  expect(readFileSync(lab.directory('db') + '/journal.json', 'utf8')).toBe(index)
})

step('a VM whose cloud-init failed comes up after its user-data was corrected and it was reloaded', async () => {
  expectFailure(await lab.vmctl('up', '--name', 'unlucky'), 6, 'vmctl::cloudinit::failed')
  lab.write('unlucky.yaml', userData(readFileSync(`${ownKey}.pub`, 'utf8').trim(), 'runcmd:\n  - echo fine\n'))
  expect((await lab.vmctl('up', '--name', 'unlucky')).stderr).toContain('needs `vmctl reload --name unlucky`')
  expect((await lab.ok('reload', '--name', 'unlucky')).stdout).toContain('must not run\n')
})

step('down powers all of them off in parallel and in good order; --json tells', async () => {
  const {vms} = await lab.json<{vms: VmResult[]}>('down')
  expect(vms).toMatchObject([
    {name: 'webserver', state: 'stopped'},
    {name: 'db', state: 'stopped'},
    {name: 'unlucky', state: 'stopped'},
  ])
  expect(lab.read('webserver', 'console.log')).toMatch(/Power down|Powering Off|Reached target/i)
  expectSuccess(await lab.vmctl('down', '--destroy'))
  expect(await lab.json('list')).toEqual({vms: []})
})
