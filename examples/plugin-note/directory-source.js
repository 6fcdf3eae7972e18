import {createHash} from 'node:crypto'
import {createReadStream, createWriteStream} from 'node:fs'
import {basename, join} from 'node:path'
import {Transform} from 'node:stream'
import {pipeline} from 'node:stream/promises'

/**
 * image-url "shelf://debian.qcow2" takes an image from the directory in $VMCTL_SHELF.
 * @type {import('vmctl/plugin').ImageSource}
 */
export const directorySource = {
  schemes: ['shelf'],

  async fetch(reference, path, {signal, onProgress}) {
    const {host, pathname} = new URL(reference.source)
    const name = basename(decodeURIComponent(`${host}${pathname}`))
    const sha256 = createHash('sha256')
    const sha512 = createHash('sha512')
    let receivedBytes = 0
    const meter = new Transform({
      transform(chunk, _encoding, done) {
        sha256.update(chunk)
        sha512.update(chunk)
        receivedBytes += chunk.length
        onProgress?.({receivedBytes})
        done(null, chunk)
      },
    })
    await pipeline(createReadStream(join(process.env.VMCTL_SHELF ?? '.', name)), meter, createWriteStream(path), {signal})
    return {name, sizeBytes: receivedBytes, digests: {sha256: sha256.digest('hex'), sha512: sha512.digest('hex')}}
  },
}
