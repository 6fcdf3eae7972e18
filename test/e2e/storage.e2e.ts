import {once} from 'node:events'
import {readdirSync, readFileSync, renameSync, statSync, writeFileSync} from 'node:fs'
import {request} from 'node:http'
import {type AddressInfo, createServer} from 'node:net'
import {basename, join} from 'node:path'
import {text} from 'node:stream/consumers'

import {expect, inject} from 'vitest'

import type {VmResult} from '../../src/engine/converge/result.ts'
import type {VolumeSummary} from '../../src/engine/resources/volumes.ts'
import {expectFailure} from '../support/vm-lab.ts'
import {qemusBelow} from '../support/vm-processes.ts'
import {scenario} from '../support/vm-scenario.ts'

/** Volumes, shares and ports on one micro guest, from its first boot to the end of its volume. */
const {lab, step} = scenario('storage')

const vmfile = ({size = '64M', ports = ''}: {size?: string; ports?: string} = {}): void =>
  lab.vmfile(`
project "shop"
volume "data" size=${JSON.stringify(size)}
vm "web" {
    image ${JSON.stringify(inject('micro'))}
    memory 192
    ssh { user "dev"; }
    port 80
${ports}
    volume "data" "/srv/my data"
    share "www, \\"ü\\"" "/srv/www"
    share "www, \\"ü\\"" "/srv/fixed" read-only=#true
    share "app.conf" "/etc/app/app.conf" read-only=#true
    share "www, \\"ü\\"" "/srv/later" { automount #false; }
}
`)

const volumes = async (): Promise<readonly VolumeSummary[]> => (await lab.json<{volumes: VolumeSummary[]}>('volume', 'ls')).volumes
const get = (port = 0): Promise<string> =>
  new Promise((resolve, reject) => {
    request({port, timeout: 10_000}, (response) => {
      text(response).then(resolve, reject)
    })
      .on('error', reject)
      .end()
  })
const shared = (name: string): string => join(lab.project, 'www, "ü"', name)
const pids = (): number[] => qemusBelow(lab.root).map(({pid}) => pid)
const name = 'shop.web'
/** What the file system of the volume has for files. */
const megabytes = async (): Promise<number> => Number(await lab.guest(name, 'df -Pm "/srv/my data" | awk "NR == 2 {print \\$2}"'))

step('at the first boot the volume is formatted and mounted, the shares are there, a free port answers', async () => {
  lab.write('www, "ü"/index.html', 'from the host\n')
  lab.write('app.conf', 'one\n')
  vmfile()
  await lab.ok('up')
  expect(await volumes()).toMatchObject([
    {id: 'shop.data', filesystem: 'ext4', sizeBytes: 64 * 2 ** 20, users: [{vm: name, readOnly: false, target: '/srv/my data'}]},
  ])
  expect(await lab.guest(name, 'cat /srv/www/index.html /srv/fixed/index.html /etc/app/app.conf; ls -A /srv/later 2>&1 || :')).toMatch(
    /^from the host\nfrom the host\none\n.*No such file/,
  )
  await lab.guest(name, 'sudo sh -c "echo kept >/srv/my\\ data/file; sync; httpd -p 80 -h /srv/www"')
  const {ports = []} = await lab.status(name)
  expect(ports).toMatchObject([{protocol: 'tcp', bind: '127.0.0.1', guest: 80}])
  expect(await get(ports[0]?.host)).toBe('from the host\n')
})

step('both sides see what the other writes; what is read-only can be written on neither', async () => {
  writeFileSync(shared('index.html'), 'changed on the host\n')
  expect(await lab.guest(name, 'sudo sh -c "echo guest >/srv/www/new; ln -s new /srv/www/link"; cat /srv/www/index.html')).toBe(
    'changed on the host',
  )
  expect([readFileSync(shared('new'), 'utf8'), readFileSync(shared('link'), 'utf8')]).toEqual(['guest\n', 'guest\n'])
  // Also by root, and also when the guest mounts it for writing: QEMU refuses then.
  const refused = 'Read-only file system'
  const tries = 'exec 2>&1; touch /srv/fixed/x; echo x >/etc/app/app.conf; umount /srv/fixed; mount -t 9p -o trans=virtio,version=9p2000.L'
  const fixed = '$(sed -n "s,^\\(share-[^ ]*\\) /srv/fixed .*,\\1,p" /etc/fstab)'
  const said = await lab.guest(name, `sudo sh -c '${tries} ${fixed} /srv/fixed; touch /srv/fixed/y; :'`)
  expect(said.split('\n').map((line) => line.includes(refused))).toEqual([true, true, true])
  expect(readdirSync(join(lab.project, 'www, "ü"')).toSorted()).toEqual(['index.html', 'link', 'new'])
  expect(readFileSync(join(lab.project, 'app.conf'), 'utf8')).toBe('one\n')
})

step('ports come and go while the guest runs; one that is taken is refused with who holds it, and nothing changes', async () => {
  const before = pids()
  vmfile({ports: '    port "18483:80"'})
  const {vms} = await lab.json<{vms: VmResult[]}>('up')
  expect(vms[0]?.actions).toMatchObject([{action: 'update', cause: 'port +18483:80'}])
  expect(await get(18_483)).toBe('changed on the host\n')
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const {port} = other.address() as AddressInfo
  vmfile({ports: `    port "18483:80"\n    port "${port}:81"`})
  const {stderr} = expectFailure(await lab.vmctl('up'), 4, 'vmctl::network::port_taken')
  expect(stderr).toContain(`held by ${basename(process.argv0)} (process ${process.pid})`)
  other.close()
  expect(await get(18_483)).toBe('changed on the host\n')
  vmfile()
  await lab.ok('up')
  await expect(get(18_483)).rejects.toThrow()
  expect(pids()).toEqual(before)
})

step('after down and up the data is there, the file that an editor has replaced too, the port is the same', async () => {
  const {ports} = await lab.status(name)
  writeFileSync(join(lab.project, 'app.conf.new'), 'two\n')
  renameSync(join(lab.project, 'app.conf.new'), join(lab.project, 'app.conf'))
  // A guest without the program that makes a file system larger says so, and the data is there as it was.
  await lab.guest(name, 'sudo sh -c "mv $(command -v resize2fs) /root; sync"')
  await lab.ok('down')
  vmfile({size: '128M'})
  expect((await lab.ok('up')).stderr).toContain('cannot be grown: the guest has no resize2fs')
  expect(await megabytes()).toBeLessThan(64)
  expect((await lab.status(name)).ports).toEqual(ports)
  expect(await lab.guest(name, 'cat "/srv/my data/file" /srv/www/index.html /etc/app/app.conf')).toBe('kept\nchanged on the host\ntwo')
  expect(await lab.guest(name, 'grep -c "^# vmctl begin" /etc/fstab')).toBe('1')
})

step('restart grows the disk and the file system of a volume, as up has said that it waits for', async () => {
  // The program of the guest that does it comes back with a new disk.
  await lab.ok('reload')
  expect(await megabytes()).toBeGreaterThan(100)
  vmfile({size: '192M'})
  expect((await lab.ok('up')).stderr).toContain('changed, needs a restart (`vmctl restart shop.web`): volume data')
  expect(await megabytes()).toBeLessThan(130)
  await lab.ok('restart', name)
  expect(await megabytes()).toBeGreaterThan(160)
  expect((await lab.ok('up')).stderr).not.toContain('needs a restart')
})

step('a volume that a VM uses is not removed; it survives the VM, and the next one finds what was on it, and room for more', async () => {
  expectFailure(await lab.vmctl('volume', 'rm', 'data'), 5, 'vmctl::volume::in_use')
  const [before] = await volumes()
  await lab.ok('reload')
  expect(await lab.guest(name, 'cat "/srv/my data/file"')).toBe('kept')
  expect(await megabytes()).toBeGreaterThan(100)
  await lab.ok('down', '--destroy')
  expect(await volumes()).toMatchObject([{id: 'shop.data', createdAt: before?.createdAt, users: []}])
})

step('down --volumes removes it, and nothing of it is left', async () => {
  await lab.ok('down', '--volumes')
  expect(await volumes()).toEqual([])
  expect(readdirSync(join(lab.stateDirectory, 'volumes'))).toEqual([])
  expect(statSync(shared('index.html')).size).toBeGreaterThan(0)
})
