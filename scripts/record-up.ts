/**
 * Runs a stack of two VMs for real and draws what the terminal showed as docs/images/up.svg: a film of it, which ends with the last
 * picture, and only that where nothing moves. The guests are the small one of the tests under TCG, so that the picture does not depend
 * on the host. A picture that would say the same as the one that is there, times aside, is left as it is.
 *
 *   npm run build && node scripts/record-up.ts
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {openScreen, type Span} from './screen.ts'
import {comparable} from './sessions.ts'
import {openStage, type Stage} from './stage.ts'

const path = join(import.meta.dirname, '../docs/images/up.svg')
const columns = 88
const size = {character: 8.4, line: 20, left: 20, top: 52}
/** Seconds that the film takes at most; a run that takes longer is shown faster. */
const longest = 15

const files: Readonly<Record<string, string>> = {
  'VMFile.kdl': `project "shop"

vm "db" {
    image "debian:12"
    healthcheck { tcp 5432; }
    provision "shell" privileged=#true { script "db.sh"; }
}
vm "web" {
    image "debian:12"
    depends-on "db"
    port "8080:80"
    provision "shell" privileged=#true { script "web.sh"; }
}
`,
  'db.sh': `mkdir -p /srv/stock
echo '12 apples, 3 pears' >/srv/stock/index.html
setsid busybox httpd -f -p 5432 -h /srv/stock >/dev/null 2>&1 </dev/null &
echo 'the database has 2 rows'
`,
  'web.sh': `mkdir -p /srv/www
busybox wget -qO /srv/www/index.html http://db:5432/
setsid busybox httpd -f -p 80 -h /srv/www >/dev/null 2>&1 </dev/null &
echo 'the shop is open'
`,
}
const commands = ['cat VMFile.kdl', 'vmctl up', 'curl localhost:8080', 'vmctl ps', 'vmctl up']

type Row = readonly Span[]

/** What the terminal showed from that second on. */
interface Picture {
  readonly at: number
  readonly rows: readonly Row[]
}

const record = async (stage: Stage): Promise<Picture[]> => {
  const pictures: Picture[] = []
  const above: Row[] = []
  let clock = 0
  for (const command of commands) {
    above.push([
      {text: '$ ', style: '32'},
      {text: command, style: '1'},
    ])
    pictures.push({at: clock, rows: [...above]})
    const began = performance.now()
    const screen = openScreen(columns)
    // oxlint-disable-next-line no-await-in-loop -- each command needs the one before
    const {exitCode} = await stage.run(command, (text) => {
      screen.write(text)
      pictures.push({at: clock + (performance.now() - began) / 1000, rows: [...above, ...screen.rows()]})
    })
    if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}:\n${screen.lines().join('\n')}`)
    above.push(...screen.rows().slice(0, -1), [])
    clock += (performance.now() - began) / 1000 + 0.5
  }
  return [...pictures, {at: clock, rows: above.slice(0, -1)}]
}

const textOf = (row: Row): string =>
  row
    .map(({text}) => text)
    .join('')
    .trimEnd()

interface Shown {
  readonly line: number
  readonly row: Row
  readonly from: number
  /** Nothing for what is there in the end. */
  readonly to?: number
}

/** Each row with the time for which it stood where it is. */
const rowsOverTime = (pictures: readonly Picture[]): Shown[] => {
  const shown: Shown[] = []
  const height = Math.max(...pictures.map(({rows}) => rows.length))
  for (let line = 0; line < height; line++) {
    let current: {row: Row; from: number} = {row: [], from: 0}
    for (const {at, rows} of pictures) {
      const row = rows[line] ?? []
      if (JSON.stringify(row) === JSON.stringify(current.row)) continue
      if (textOf(current.row) !== '' && at > current.from) shown.push({line, ...current, to: at})
      current = {row, from: at}
    }
    if (textOf(current.row) !== '') shown.push({line, ...current})
  }
  return shown
}

/** Pictures a tenth of a second of film apart or more, the last one always. */
const thinned = (pictures: readonly Picture[]): Picture[] => {
  const speed = Math.max(1, (pictures.at(-1)?.at ?? 0) / longest)
  const kept: Picture[] = []
  for (const {at, rows} of pictures.toReversed()) {
    const next = kept.at(-1)
    if (next === undefined || next.at - at / speed >= 0.1) kept.push({at: at / speed, rows})
  }
  return kept.toReversed()
}

const escapeXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

const classOf = (style: string): string =>
  style
    .split(';')
    .filter((word) => word !== '')
    .map((word) => `s${word}`)
    .join(' ')

const draw = (pictures: readonly Picture[]): string => {
  const shown = rowsOverTime(pictures)
  const width = Math.ceil(columns * size.character + 2 * size.left)
  const last = pictures.at(-1)?.rows ?? []
  const height = size.top + Math.max(last.length, ...shown.map(({line}) => line + 1)) * size.line + 10
  const texts = shown.map(({line, row, from, to}) => {
    const spans = row.map(({text, style}) =>
      style === '' ? escapeXml(text) : `<tspan class="${classOf(style)}">${escapeXml(text)}</tspan>`,
    )
    const timing =
      to === undefined
        ? `<set attributeName="visibility" to="hidden" begin="0s" dur="${from.toFixed(2)}s"/>`
        : `<set attributeName="visibility" to="visible" begin="${from.toFixed(2)}s" dur="${(to - from).toFixed(2)}s"/>`
    const visibility = to === undefined ? '' : ' visibility="hidden"'
    return `<text x="${size.left}" y="${size.top + line * size.line}" xml:space="preserve"${visibility}>${spans.join('')}${from > 0 || to !== undefined ? timing : ''}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>vmctl up brings up a database and a web server that waits for it; the second vmctl up finds nothing to do</title>
<desc>${escapeXml(last.map(textOf).join('\n'))}</desc>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d8dee9 }
.s1 { font-weight: bold; fill: #ffffff } .s2 { opacity: 0.6 } .s4 { text-decoration: underline }
.s31, .s91 { fill: #ff7b72 } .s32, .s92 { fill: #7fd88f } .s33, .s93 { fill: #e5c07b } .s34, .s94 { fill: #79b8ff }
.s35, .s95 { fill: #d2a8ff } .s36, .s96 { fill: #76d7d7 } .s30, .s90 { fill: #77808f }
</style>
<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>
<circle cx="22" cy="20" r="6" fill="#ff5f57"/><circle cx="42" cy="20" r="6" fill="#febc2e"/><circle cx="62" cy="20" r="6" fill="#28c840"/>
${texts.join('\n')}
</svg>
`
}

const described = (svg: string): string => comparable(/<desc>([^]*?)<\/desc>/.exec(svg)?.[1] ?? '')

await using stage = await openStage('micro', {name: 'shop', columns})
for (const [name, text] of Object.entries(files)) writeFileSync(join(stage.directory, name), text)
await stage.cache('debian:12')
const svg = draw(thinned(await record(stage)))
if (!existsSync(path) || described(svg) !== described(readFileSync(path, 'utf8'))) {
  writeFileSync(path, svg)
  process.stdout.write('wrote docs/images/up.svg\n')
}
