import {programText} from '../../model/guest-program.ts'
import {type KeyPair, kindOfKey, requirePublicKey} from '../keys/keys.ts'
import {takeIdentity} from '../programs/index.ts'

/**
 * The program by which a guest whose disk was another's becomes one of its own.
 * @param vmId what it is from then on; its machine-id too
 */
export const identityProgram = (vmId: string, hostKeys: 'seeded' | 'stay' | KeyPair): string => {
  const key = typeof hostKeys === 'string' ? undefined : hostKeys
  return programText(takeIdentity, {
    root: '/',
    identity: vmId.replaceAll('-', ''),
    host_keys: typeof hostKeys === 'string' ? hostKeys : 'own',
    key_kind: key ? kindOfKey(requirePublicKey(key.publicKey).type).toLowerCase() : '',
    private_key: key?.privateKey.trimEnd() ?? '',
    public_key: key?.publicKey ?? '',
  })
}
