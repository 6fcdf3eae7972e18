import type {Plugin} from 'rolldown'

/** Modules of Node that take milliseconds to load, and that many commands never need. What is imported of them is functions and classes. */
const slow = new Set(['node:child_process', 'node:crypto', 'node:dgram', 'node:net', 'node:util'])

const prefix = '\0late:'

/**
 * Loads slow modules of Node at the first call of one of their functions, in place of at the start. To the code nothing changes: a
 * function calls the real one, also as a constructor.
 */
export const lateBuiltins = (own: string): Plugin => ({
  name: 'late-builtins',
  resolveId: (id, importer) => (slow.has(id) && importer?.startsWith(own) ? {id: prefix + id} : undefined),
  async load(id) {
    if (!id.startsWith(prefix)) return undefined
    const name = id.slice(prefix.length)
    const exported: Record<string, unknown> = await import(name)
    const lines = Object.entries(exported)
      .filter(([word, value]) => word !== 'default' && typeof value === 'function')
      .map(([word]) => `export const ${word} = /* @__PURE__ */ late(${JSON.stringify(word)})`)
    return `let all
const late = (word) => function (...words) {
  all ??= process.getBuiltinModule(${JSON.stringify(name)})
  return new.target ? Reflect.construct(all[word], words) : all[word](...words)
}
${lines.join('\n')}
`
  },
})

/** As the TypeScript compiler writes an import of a whole module. */
const imports = /^const (\w+_\d+) = ((?:__importDefault\(|__importStar\()?require\("[^"]+"\)\)?);$/gm

/** Has the modules of a package in CommonJS load each other when they are used, in place of at the start. */
export const lateRequires = (path: RegExp): Plugin => ({
  name: 'late-requires',
  transform(code, id) {
    if (!path.test(id)) return undefined
    let late = code.replaceAll(imports, '')
    for (const [, name = '', value = ''] of code.matchAll(imports))
      late = late.replaceAll(new RegExp(String.raw`\b${name}\b`, 'g'), () => `(${value})`)
    // The first comparison by the rules of a language loads all of them; the ids of commands are ASCII.
    return {code: late.replaceAll(/(\w+\.id)\.localeCompare\((\w+\.id)\)/g, '($1 < $2 ? -1 : 1)')}
  },
})

/**
 * What oclif asks wsl-utils for, without starting programs and loading five packages: whether this is the Linux of Windows, and,
 * only there, where PowerShell is.
 */
export const shortWslUtils = (): Plugin => ({
  name: 'short-wsl-utils',
  resolveId: (id) => (id === 'wsl-utils' ? {id: `\0${id}`} : undefined),
  load: (id) =>
    id === '\0wsl-utils'
      ? `import {release} from 'node:os'
export const isWsl = process.platform === 'linux' && /microsoft/i.test(release())
export const powerShellPath = async () => 'powershell.exe'
`
      : undefined,
})
