import {execFileSync} from 'node:child_process'
import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {temporaryDirectory} from '../../test/support/builders.ts'
import {useImageLab} from '../../test/support/image-lab.ts'
import {digestOf, makeRawDisk} from '../../test/support/images.ts'
import {missingProgram, testUnless} from '../../test/support/programs.ts'
import type {Publisher} from '../model/catalogue.ts'
import {parseImagesFile} from '../vmfile/catalogue.ts'
import {ensureImage} from '../image/cache.ts'
import {imageFiles} from '../image/image-store.ts'
import {listImages} from '../image/manage.ts'
import {createResolver} from '../image/catalogue/resolve.ts'

const lab = useImageLab()

const publisherIn = (lines: string): Publisher => {
  const text = `publisher "acme" {
    origin "${lab.server.origin}/acme"
    user "acme"
    arch x86_64="amd64"
    list "SUMS"
    image "acme-{tag}.qcow2"
    release "1"
    ${lines}
}`
  const [publisher] = parseImagesFile(text, {file: 'images.kdl', known: []}).publishers
  if (!publisher) throw new Error('none')
  return publisher
}

testUnless(missingProgram('minisign', ['-v']))('an image of a publisher of the user, whose list is signed by minisign', async () => {
  const directory = temporaryDirectory()
  const content = makeRawDisk(64 * 1024)
  const minisign = (...words: string[]): void => void execFileSync('minisign', words, {cwd: directory, stdio: 'ignore'})
  minisign('-GW', '-p', 'own.pub', '-s', 'own.key')
  const key = readFileSync(join(directory, 'own.pub'), 'utf8').split('\n')[1] ?? ''
  const list = `${digestOf(content)}  acme-1.qcow2\n`
  writeFileSync(join(directory, 'SUMS'), list)
  minisign('-S', '-s', 'own.key', '-m', 'SUMS')
  const signature = readFileSync(join(directory, 'SUMS.minisig'))
  for (const [name, file] of Object.entries({SUMS: Buffer.from(list), 'SUMS.minisig': signature, 'acme-1.qcow2': content})) {
    lab.server.files.set(`/acme/${name}`, {content: file})
  }
  const publisher = publisherIn(`signature "minisign" at="SUMS.minisig"\nkey "${key}"`)
  const {store} = lab.scratch
  const resolve = createResolver({
    catalogue: async () => ({publishers: [publisher], mirrors: []}),
    keyDirectory: imageFiles.keys(store),
    retries: 0,
  })
  const ensure = () =>
    ensureImage({...store, resolve}, {kind: 'name', source: 'acme:1', format: 'raw'}, {signal: AbortSignal.timeout(20_000)})
  for (const damage of [
    {path: '/acme/SUMS.minisig', content: undefined, says: 'is missing'},
    {path: '/acme/SUMS', content: Buffer.from(list.replace(/^./, 'x')), says: 'does not belong to what it is said to sign'},
  ]) {
    const whole = lab.server.files.get(damage.path)
    if (damage.content) lab.server.files.set(damage.path, {content: damage.content})
    else lab.server.files.delete(damage.path)
    await expect(ensure()).rejects.toMatchObject({code: 'vmctl::image::signature_invalid', message: expect.stringContaining(damage.says)})
    if (whole) lab.server.files.set(damage.path, whole)
  }
  expect(await listImages(store)).toEqual([])
  await ensure()
  expect(await listImages(store)).toMatchObject([{trust: 'signed', signedBy: 'acme', fingerprint: key}])
})

test('what images.kdl says wrongly of it is told with its place', () => {
  const key = `RW${'A'.repeat(54)}`
  const fingerprint = 'A'.repeat(40)
  for (const [lines, problem] of [
    [`signature "minisign"\nkey "${key}"`, 'it is not said where the signature is'],
    [`signature "minisign" at="x" key-url="https://example.org/key"\nkey "${key}"`, 'minisign has no keys to fetch'],
    [`signature "minisign" at="x"\nkey "${fingerprint}"`, 'this key is of the other kind than the signature'],
    [`signature "clearsigned" key-url="https://example.org/key"\nkey "${key}"`, 'this key is of the other kind than the signature'],
    [`signature "clearsigned"\nkey "${fingerprint}"`, 'it is not said where the key is'],
    [`signature "minisign" at="x"`, 'a signature needs a key'],
    [`signature "minisign" at="x"\nkey "RWx"`, 'is not a fingerprint'],
  ] as const) {
    expect(() => publisherIn(lines), lines).toThrow(
      expect.objectContaining({
        problems: expect.arrayContaining([expect.objectContaining({message: expect.stringContaining(problem), line: expect.any(Number)})]),
      }),
    )
  }
})
