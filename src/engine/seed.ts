import {readFile, rm} from 'node:fs/promises'

import {metaData, userData, vendorData} from '../guest/cloud-init.ts'
import {generateKeyPair, knownHostsLine} from '../guest/keys.ts'
import {writeSeed} from '../guest/seed-iso.ts'
import {ioError, writeFileAtomic} from '../host/files.ts'
import {vmFiles} from '../model/layout.ts'
import type {Vm} from '../model/vm.ts'
import {hostKeyAlias, sshUser} from './access.ts'

/**
 * Makes what a guest needs in order to know us, and we it: the user's key pair unless one was given, the host key with
 * its known_hosts, and the cloud-init seed that carries them. Without a cloud-init block there is no seed and no key.
 */
export const writeCredentials = async (vm: Vm): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const files = vmFiles(vm.directory)
  const hostKey = generateKeyPair(`${vm.name} host key`)
  await writeFileAtomic(files.knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const identity = metaData({instanceId: `${vm.name}-${vm.id}`, hostname: cloudInit.hostname})
  const date = new Date(vm.createdAt)
  if (cloudInit.userData) {
    const raw = await readFile(cloudInit.userData.path).catch((error: unknown) => {
      throw ioError('read', cloudInit.userData?.path ?? '', error)
    })
    await writeSeed(files.seed, {metaData: identity, userData: raw, vendorData: vendorData({hostKey})}, date)
    return
  }
  const authorizedKeys = cloudInit.sshKeys.length > 0 ? cloudInit.sshKeys : [await makeUserKey(vm)]
  await writeSeed(
    files.seed,
    {metaData: identity, userData: userData({user: cloudInit.user ?? sshUser(vm), authorizedKeys, hostKey})},
    date,
  )
}

const makeUserKey = async (vm: Vm): Promise<string> => {
  const files = vmFiles(vm.directory)
  const pair = generateKeyPair(`vmctl ${vm.name}`)
  await rm(files.publicKey, {force: true})
  await writeFileAtomic(files.privateKey, pair.privateKey)
  await writeFileAtomic(files.publicKey, `${pair.publicKey}\n`)
  return pair.publicKey
}
