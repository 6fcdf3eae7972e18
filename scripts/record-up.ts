/**
 * Runs `vmctl up` on the micro guest for real and draws what it printed, with the time of each line, as docs/images/up.svg.
 * The guest runs under TCG, so that the picture does not depend on the computer having KVM.
 *
 *   npm run build && node scripts/record-up.ts
 */
import {spawn, spawnSync} from 'node:child_process'
import {mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

const root = join(import.meta.dirname, '..')
const vmfile = `vm "web" {
    image "debian.qcow2"
    memory "512M"
    cloud-init { hostname "web"; }
    ssh { user "vm"; }
    provision "shell" { inline "echo I am $(whoami)@$(hostname)"; }
    provision "file" { source "motd"; destination "/etc/motd"; privileged #true; }
}
`
const commands = ['cat VMFile.kdl', 'vmctl up', "vmctl ssh -- 'cat /etc/motd; uname -r'", 'vmctl up', 'echo New words. >motd; vmctl plan']

interface Line {
  readonly text: string
  readonly kind: 'command' | 'output'
  /** Seconds after its command. */
  readonly at?: number
}

const record = async (directory: string, env: NodeJS.ProcessEnv): Promise<Line[]> => {
  const lines: Line[] = []
  for (const command of commands) {
    lines.push({text: command, kind: 'command'})
    // oxlint-disable-next-line no-await-in-loop -- each command needs the one before
    const output = await run(command, directory, env)
    lines.push(...output.map((line) => (command === 'vmctl up' ? line : {text: line.text, kind: line.kind})))
  }
  return lines
}

/** Runs a command line with both streams in one pipe, so that the lines keep their order. */
const run = (command: string, cwd: string, env: NodeJS.ProcessEnv): Promise<Line[]> =>
  new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn('sh', ['-c', `exec 2>&1; ${command}`], {cwd, env, stdio: ['ignore', 'pipe', 'inherit']})
    const lines: Line[] = []
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop() ?? ''
      const at = (performance.now() - started) / 1000
      // The picture has the times at its right.
      lines.push(...parts.map((text) => ({text: text.replace(/^\[ *[\d.]+s\] /, ''), kind: 'output', at}) as const))
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(lines)
      else reject(new Error(`${command} ended with ${code}:\n${lines.map(({text}) => text).join('\n')}`))
    })
  })

const columns = 92
const size = {character: 8.4, line: 20, left: 20, top: 52}

const escapeXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Breaks what is longer than the terminal, as a terminal does. */
const wrap = ({text, ...line}: Line): Line[] => {
  const width = line.at === undefined ? columns : columns - 8
  const parts = Array.from({length: Math.max(1, Math.ceil(text.length / width))}, (_, index) =>
    text.slice(index * width, (index + 1) * width),
  )
  return parts.map((part, index) => (index === 0 ? {...line, text: part} : {kind: line.kind, text: part}))
}

const draw = (lines: readonly Line[]): string => {
  const rows = lines.flatMap((line) => (line.kind === 'command' ? [{kind: 'output', text: ''} as const, line] : wrap(line))).slice(1)
  const width = Math.ceil(columns * size.character + 2 * size.left)
  const height = size.top + rows.length * size.line + 10
  const texts = rows.map(({kind, text, at}, index) => {
    const y = size.top + index * size.line
    const shown = kind === 'command' ? `<tspan class="p">$ </tspan><tspan class="c">${escapeXml(text)}</tspan>` : escapeXml(text)
    const time = at === undefined ? '' : `<text x="${width - size.left}" y="${y}" class="t">${at.toFixed(1)} s</text>`
    return `<text x="${size.left}" y="${y}" xml:space="preserve">${shown}</text>${time}`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>vmctl up creates, starts and provisions a VM; the second vmctl up finds nothing to do</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #d8dee9 }
.p { fill: #7fd88f } .c { fill: #ffffff; font-weight: bold } .t { fill: #77808f; text-anchor: end }
</style>
<rect width="100%" height="100%" rx="8" fill="#1b1f27"/>
<circle cx="22" cy="20" r="6" fill="#ff5f57"/><circle cx="42" cy="20" r="6" fill="#febc2e"/><circle cx="62" cy="20" r="6" fill="#28c840"/>
${texts.join('\n')}
</svg>
`
}

const image = spawnSync('sh', [join(root, 'fixtures/guests/build.sh'), 'micro'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
}).stdout.trim()
const directory = mkdtempSync(join(tmpdir(), 'vmctl-'))
const program = join(directory, 'bin')
spawnSync('mkdir', [program])
symlinkSync(join(root, 'bin/run.js'), join(program, 'vmctl'))
symlinkSync(image, join(directory, 'debian.qcow2'))
writeFileSync(join(directory, 'VMFile.kdl'), vmfile)
writeFileSync(join(directory, 'motd'), 'Made by vmctl.\n')
const env = {
  ...process.env,
  PATH: `${program}:${process.env.PATH}`,
  VMCTL_STATE_DIR: join(directory, 'state'),
  VMCTL_ACCEL: 'tcg',
  NO_COLOR: '1',
}
try {
  const lines = await record(directory, env)
  writeFileSync(join(root, 'docs/images/up.svg'), draw(lines))
} finally {
  spawnSync('vmctl', ['down', '--destroy'], {cwd: directory, env, stdio: 'ignore'})
  rmSync(directory, {recursive: true, force: true})
}
