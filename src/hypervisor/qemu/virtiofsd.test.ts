import {expect, test} from 'vitest'

import {virtiofsdArguments} from './virtiofsd.ts'

const folder = {path: '/home/me/a,b "c"', tag: 'share-1', readOnly: false, driver: 'auto'} as const
const user = {socket: 'virtiofs-0-x.sock', uid: 1000, gid: 1001}

test('the command line of an ordinary user: all owners of the guest are that user', () => {
  expect(virtiofsdArguments(folder, user)).toEqual([
    '--socket-path=virtiofs-0-x.sock',
    '--shared-dir=/home/me/a,b "c"',
    '--cache=auto',
    '--sandbox=namespace',
    '--translate-uid=squash-guest:0:1000:4294967295',
    '--translate-gid=squash-guest:0:1001:4294967295',
  ])
})

test('root keeps the owners of the guest; a read-only folder is so on this side too', () => {
  expect(virtiofsdArguments({...folder, readOnly: true}, {...user, uid: 0, gid: 0})).toEqual([
    '--socket-path=virtiofs-0-x.sock',
    '--shared-dir=/home/me/a,b "c"',
    '--cache=auto',
    '--sandbox=namespace',
    '--readonly',
  ])
})
