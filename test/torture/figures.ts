import {damage} from './bit-flips.ts'
import {concurrency, pulls} from './concurrency.ts'
import {downloads} from './downloads.ts'
import {dropped} from './dropped.ts'
import {faults} from './faults.ts'
import type {Figure} from './figure.ts'
import {impostor} from './impostor.ts'
import {killPoints} from './kill-points.ts'
import {pairs} from './pairs.ts'
import {qemuKilled} from './qemu-killed.ts'
import {randomKills} from './random-kills.ts'
import {hostReboot} from './reboot.ts'
import {stack} from './stack.ts'
import {surroundings} from './surroundings.ts'

/** Every figure that `npm run test:torture` shows, in the order of the table. */
export const figures: readonly Figure[] = [
  killPoints,
  randomKills,
  qemuKilled,
  stack,
  hostReboot,
  concurrency,
  pulls,
  pairs,
  faults,
  downloads,
  dropped,
  damage,
  surroundings,
  impostor,
]
