// Succeeds when node_modules is what package-lock.json says, as npm has written it down at the end of an installation. Runs on
// any Node that has modules.
import {readFileSync} from 'node:fs'

const packagesOf = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).packages
const wanted = packagesOf('../package-lock.json')
const installed = packagesOf('../node_modules/.package-lock.json')

const libc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
const isForHere = (entry) =>
  entry.os?.includes(process.platform) && entry.cpu?.includes(process.arch) && (entry.libc?.includes(libc) ?? true)

// What is optional may have failed to build; a tool's part for this platform, which needs no building, may not.
const mayBeAbsent = (entry) => entry.optional && !isForHere(entry)

const differing = Object.entries(wanted).filter(
  ([path, entry]) => path !== '' && (installed[path] ? installed[path].version !== entry.version : !mayBeAbsent(entry)),
)
for (const [path, {version}] of differing) process.stderr.write(`${path} ${version} is not there\n`)
process.exitCode = differing.length === 0 ? 0 : 1
