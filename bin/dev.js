#!/usr/bin/env node
// Runs src/ as it is: Node strips the types. No build, no loader.
import {settings} from '@oclif/core'

import {main} from '../src/cli/main.ts'
import {watchOutputs} from '../src/cli/outputs.ts'
import {fromSource} from '../test/support/from-source.ts'

settings.enableAutoTranspile = false
await main(process.argv.slice(2), fromSource, watchOutputs())
