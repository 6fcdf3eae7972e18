/** A process of its own that pulls one image: `node pull-image.ts STATE-DIRECTORY URL`. Prints the path, or the error's code. */
import {join} from 'node:path'

import {createHttpSource} from '../../src/image/http.ts'
import {ensureImage, type ImageStore} from '../../src/image/index.ts'
import {isVmctlError} from '../../src/model/errors.ts'

const [directory = '', source = ''] = process.argv.slice(2)
const store: ImageStore = {directory: join(directory, 'images'), lockDirectory: join(directory, 'locks'), sources: [createHttpSource()]}
try {
  const image = await ensureImage(
    store,
    {kind: 'url', source},
    {
      signal: new AbortController().signal,
      onEvent: (event) => process.stderr.write(`${event.type}\n`),
    },
  )
  process.stdout.write(image.path)
} catch (error) {
  process.stdout.write(isVmctlError(error) ? error.code : String(error))
  process.exitCode = 1
}
