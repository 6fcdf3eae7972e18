import {expect, test} from 'vitest'

import {type GuestSigns, guestText, outcomeOf, timesText} from './progress-words.ts'

test.each([
  ['booting', {isBooting: true, milestone: 'process'}],
  ['booting', {isBooting: true, milestone: 'tcp', stage: 'kernel', line: 'Linux version 6.1'}],
  ['starting services', {isBooting: true, milestone: 'tcp', stage: 'system', line: 'Welcome to Debian!'}],
  [
    'starting services: installing packages (cloud-init)',
    {isBooting: true, milestone: 'tcp', stage: 'system', line: 'Setting up nginx (1.22)'},
  ],
  ['logging in', {isBooting: true, milestone: 'banner', stage: 'system'}],
  ['logging in', {isBooting: false, milestone: 'host-key'}],
  ['starting services', {isBooting: true, milestone: 'authentication'}],
  ['starting services (cloud-init)', {isBooting: true, milestone: 'boot-id', line: 'cloud-init[412]: running'}],
  [
    'starting services: installing packages (cloud-init)',
    {isBooting: false, milestone: 'boot-id', line: 'cloud-init[412]: Unpacking curl'},
  ],
  ['connecting', {isBooting: false, milestone: 'tcp', stage: 'system', line: 'web login:'}],
  ['booting', {isBooting: false, milestone: 'tcp', stage: 'boot loader', line: 'Welcome to GRUB!'}],
] as readonly (readonly [string, Partial<GuestSigns>])[])('%s: %j', (text, signs) => {
  expect(guestText({isBooting: false, line: '', ...signs})).toBe(text)
})

test('what a VM is at the end of its plan, or why nothing was to be done', () => {
  const plan = {vm: 'web', after: [], notices: [], provision: []}
  expect(outcomeOf({...plan, steps: [{action: 'start', cause: 'new'}]})).toBe('up')
  expect(outcomeOf({...plan, steps: [{action: 'check-health', cause: 'new'}]})).toBe('up, healthy')
  expect(outcomeOf({...plan, steps: [], notices: ['is already running']})).toBe('already running')
  expect(outcomeOf({...plan, steps: []})).toBe('nothing to do')
})

test('booting and steps are told apart', () => {
  expect(timesText({bootedMs: 22_000, stepsMs: 10_300})).toBe('booted in 22 s, steps took 10 s')
  expect(timesText({stepsMs: 400})).toBe('steps took 0.4 s')
  expect(timesText({})).toBe('')
})
