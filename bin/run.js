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
  const {execute} = await import('@oclif/core')
  await execute({dir: import.meta.url})
}
