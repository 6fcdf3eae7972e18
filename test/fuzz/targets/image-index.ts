import {strict as assert} from 'node:assert'
import {mkdirSync, readdirSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'

import {findImage} from '../../../src/image/cache.ts'
import {listImages, removeImage} from '../../../src/image/manage.ts'
import {createHttpSource} from '../../../src/image/http.ts'
import type {ImageStore} from '../../../src/image/image-store.ts'
import {urlKey} from '../../../src/image/url.ts'
import {resultOrFailure, type Target} from '../target.ts'
import {scratchDirectory} from './directory.ts'

const url = 'http://127.0.0.1:1/disk.qcow2'
const key = urlKey(new URL(url))
const disk = `sha256-${'ab'.repeat(32)}.qcow2`

export const imageIndex: Target = {
  about: 'an index file of the image cache, as image list and image rm read it',
  json: true,
  dictionary: [
    '"disk":',
    '"file":"../../x"',
    '"sizeBytes":8',
    '"format":"raw"',
    '"verifiedBy":[]',
    '"stamp":{}',
    'null',
    '"published":',
    '"source":1',
  ],
  open() {
    const scratch = scratchDirectory()
    const store: ImageStore = {
      directory: join(scratch.path, 'images'),
      lockDirectory: join(scratch.path, 'locks'),
      sources: [createHttpSource()],
    }
    mkdirSync(join(store.directory, 'refs'), {recursive: true})
    mkdirSync(store.lockDirectory)
    const entry = join(store.directory, 'refs', `${key}-0011223344556677-qcow2.json`)
    writeFileSync(join(scratch.path, 'precious'), 'precious')
    let tries = 0
    return {
      async try(input) {
        writeFileSync(entry, input)
        writeFileSync(join(store.directory, disk), 'contents')
        const images = await listImages(store)
        assert.ok(images.length > 0, 'the image is not listed')
        for (const image of images) {
          assert.ok([store.directory, dirname(entry)].includes(dirname(image.path)), `${image.path} is elsewhere`)
          assert.equal(typeof image.name, 'string')
        }
        const found = await findImage(store, {kind: 'url', source: url})
        if (found) assert.equal(dirname(found.path), store.directory)
        tries += 1
        if (tries % 20 !== 0) return
        // Asked for by the name of its file, the disk goes, and nothing else does.
        await resultOrFailure(['vmctl::image::not_found'], () => removeImage(store, disk, {inUse: () => undefined}))
        assert.deepEqual(readdirSync(scratch.path).toSorted(), ['images', 'locks', 'precious'])
      },
      [Symbol.asyncDispose]: async () => scratch.remove(),
    }
  },
}
