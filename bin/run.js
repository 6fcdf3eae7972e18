#!/usr/bin/env node
// Plain JavaScript that every Node can parse, so that an old one gets a sentence instead of a stack.
const [major] = process.versions.node.split('.')

if (Number(major) < 24) {
  const {existsSync} = await import('node:fs')
  // A checkout of vmctl brings its own Node; a package does not have its sources.
  const isCheckout = existsSync(new URL('../src', import.meta.url))
  const way = isCheckout ? 'Run `npx vmctl` in the directory of vmctl, which brings its own' : 'Install Node.js 24 (https://nodejs.org)'
  process.stderr.write(`error: vmctl needs Node.js 24 or newer; this is ${process.versions.node} (${process.execPath}).\n  help: ${way}.\n`)
  // As for everything that the host lacks.
  process.exitCode = 4
} else {
  // Importing a module of Node makes a facade of all of it, which takes milliseconds.
  process.getBuiltinModule('node:module').enableCompileCache()
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
    await main(process.argv.slice(2), import.meta.filename, outputs)
  }
}
