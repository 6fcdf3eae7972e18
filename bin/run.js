#!/usr/bin/env node
// Plain JavaScript that every Node can parse, so that an old one gets a sentence instead of a stack.
const [major] = process.versions.node.split('.')

if (Number(major) < 24) {
  process.stderr.write(
    `vmctl needs Node.js 24 or newer; this is ${process.versions.node}. In this repository run it as \`npx vmctl\`, elsewhere install Node 24 (https://nodejs.org).\n`,
  )
  process.exitCode = 1
} else {
  const {enableCompileCache} = await import('node:module')
  enableCompileCache()
  const {watchOutputs} = await import('../dist/cli/outputs.js')
  const outputs = watchOutputs()
  if (process.argv.length === 3 && ['--version', '-V'].includes(process.argv[2])) {
    // What oclif would print, without the 60 ms that it takes to load; scripts ask for this often.
    const {default: pjson} = await import('../package.json', {with: {type: 'json'}})
    process.stdout.write(`${pjson.name}/${pjson.version} ${process.platform}-${process.arch} node-${process.version}\n`)
    await outputs.finish()
  } else {
    // A linked plugin is run as it is; that nothing transpiles it is no news.
    process.env.OCLIF_DISABLE_LINKED_ESM_WARNING ??= 'true'
    const {main} = await import('../dist/cli/main.js')
    const {fileURLToPath} = await import('node:url')
    await main(process.argv.slice(2), fileURLToPath(import.meta.url), outputs)
  }
}
