/** Images from code. Run it after a build: node examples/library/images.ts URL */
import {
  convertImage,
  createOverlay,
  detectFormat,
  downloadImage,
  ensureImage,
  findImage,
  inspectImage,
  listImages,
  openEngine,
  removeImage,
} from 'vmctl'

const [url = 'https://example.org/disk.qcow2'] = process.argv.slice(2)
const engine = await openEngine()
const {signal} = engine

// #region ensure
const reference = {kind: 'url', source: url} as const
const base = await ensureImage(engine.images, reference, {
  signal,
  onEvent: (event) => {
    if (event.type === 'image.progress') process.stderr.write(`${event.receivedBytes} of ${event.totalBytes ?? '?'} bytes\n`)
  },
})
process.stdout.write(`${base.path} is ${base.format}, ${base.virtualSizeBytes} bytes for a guest\n`)
// #endregion

// #region find
const cached = await findImage(engine.images, reference)
process.stdout.write(cached ? 'it is here\n' : 'it is not here\n')
for (const {name, sizeBytes} of await listImages(engine.images)) process.stdout.write(`${name}  ${sizeBytes}\n`)
// #endregion

// #region disks
await createOverlay(base, '/tmp/overlay.qcow2', {sizeBytes: 20 * 2 ** 30})
await convertImage(base, {path: '/tmp/disk.raw', format: 'raw'})
process.stdout.write(`${await detectFormat('/tmp/disk.raw')}\n`)
const {backingFile} = await inspectImage('/tmp/overlay.qcow2')
process.stdout.write(`${backingFile}\n`)
// #endregion

// #region download
await downloadImage(engine.images.sources, {reference, destination: '/tmp/disk.qcow2'}, {signal})
// #endregion

// #region remove
await removeImage(engine.images, url, {inUse: () => undefined})
// #endregion
