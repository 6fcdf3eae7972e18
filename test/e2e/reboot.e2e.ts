import {expect} from 'vitest'

import {inline, microVm} from '../support/vm-guests.ts'
import {scenario} from '../support/vm-scenario.ts'

/** `provision "reboot"`: the steps after it run on another boot, which the guest itself proves. */
const {lab, step} = scenario('reboot')

const bootId = 'cat /proc/sys/kernel/random/boot_id'

step('the step after a reboot runs on another boot, and what is done is not done again', async () => {
  const steps = [inline(`${bootId} > before; sync`), '    provision "reboot" timeout="2m"', inline(`${bootId} > after; sync`)]
  lab.vmfile(microVm('box', steps.join('\n')))
  await lab.ok('up')
  const [before, after, now] = (await lab.guest('box', `cat before after; ${bootId}`)).split('\n')
  expect(after).not.toBe(before)
  expect(now).toBe(after)
  const {provision} = await lab.status('box')
  expect(provision.map(({title, state}) => `${title} ${state}`)).toEqual([
    expect.stringMatching(/ done$/),
    'reboot done',
    expect.stringMatching(/ done$/),
  ])
  expect(provision[0]?.bootId).toBe(before)
  expect(provision[2]?.bootId).toBe(after)
  expect(lab.read('box', 'provision.log')).toContain(`boot ${before} is over, this is ${after}`)
  await lab.ok('up')
  expect(await lab.guest('box', bootId)).toBe(now)
})
