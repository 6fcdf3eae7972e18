#!/usr/bin/env node
// Runs src/ as it is: Node strips the types. No build, no loader.
import {execute, settings} from '@oclif/core'

import {fromSource} from '../test/support/from-source.ts'

settings.enableAutoTranspile = false
await execute({development: true, loadOptions: fromSource})
