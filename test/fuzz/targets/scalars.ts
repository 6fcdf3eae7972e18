import {strict as assert} from 'node:assert'
import {join, normalize} from 'node:path'

import {displayUrl, fileNameOf, parseImageUrl, urlKey} from '../../../src/image/url.ts'
import {isHostname, isUserName, isVmName} from '../../../src/model/names.ts'
import {formatDuration, formatSize, parseDuration, parseSize} from '../../../src/model/quantity.ts'
import {isMirrorable, unsafePath} from '../../../src/model/safe-path.ts'
import {pureTrial, resultOrFailure, type Target} from '../target.ts'

export const scalars: Target = {
  about: 'sizes, durations, names, relative paths, URLs',
  dictionary: [
    'G',
    'MiB',
    '1.5',
    'ms',
    '2m30s',
    'h',
    '../',
    '/',
    './',
    '..',
    '\0',
    'https://',
    'user:secret@',
    '?token=secret',
    '#',
    '%2e%2e',
    '\uFFFD',
    '-',
    '_',
    'xn--',
    '\u202E',
  ],
  open: () =>
    pureTrial(async (input) => {
      const text = input.toString()
      for (const amount of [parseSize(text, 1), parseSize(text, 2 ** 20), parseDuration(text)]) {
        assert.ok(amount === undefined || (Number.isSafeInteger(amount) && amount >= 0), `${amount}`)
        if (amount === undefined) continue
        assert.match(formatSize(amount), /^\d+(?:\.\d+)? (?:[KMG]?B)$/)
        assert.match(formatDuration(amount), /^\d+(?:\.\d+)? (?:s|min \d+ s|h \d+ min)$/)
      }
      if (isVmName(text)) assert.match(text, /^[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._-]{0,62}$/)
      if (isHostname(text)) assert.match(text, /^[A-Za-z0-9.-]{1,253}$/)
      if (isUserName(text)) assert.match(text, /^[a-z_][a-z0-9_-]{0,31}$/)
      if (unsafePath(text) === undefined) {
        assert.ok(join('/a/b', text).startsWith('/a/b/'))
        assert.equal(normalize(text), text)
      }
      if (isMirrorable(text)) assert.ok(normalize(text).split('/').filter(Boolean).length > 0)
      const url = await resultOrFailure(['vmctl::usage::invalid'], () => parseImageUrl(text))
      if (!url) return
      assert.match(urlKey(url), /^[0-9a-f]{64}$/)
      assert.match(fileNameOf(url), /^[^\p{Cc}\p{Cf}]{0,255}$/u)
      if (!/^https?:$/.test(url.protocol)) return
      const shown = displayUrl(url)
      const {username, password, hash} = URL.canParse(shown) ? new URL(shown) : {username: '', password: '', hash: ''}
      assert.deepEqual([username, password, url.hash === '' ? '' : hash], ['', '', ''], shown)
    }),
}
