const same = (words: readonly string[], hint: string): Readonly<Record<string, string>> =>
  Object.fromEntries(words.map((word) => [word, hint]))

const asVm = 'a VM is written vm "web" { … }'
const forwarded = 'a host port is forwarded to a guest port by port "8080:80"'
const shared = 'a folder of the host is a share: share "./www" "/srv/www"'

/** Words of other tools, and what to write for them: at the top level of the file, and in a block. */
const words: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '': {
    ...same(['services', 'service', 'vms', 'machines', 'machine', 'virtual-machine', 'domain', 'instance'], asVm),
    ...same(['name'], 'a VM has its name behind vm, and the file behind project: project "shop"'),
    ...same(['version'], 'a VMFile has no version; remove it'),
    ...same(['box'], 'a VM has an image: vm "web" { image "debian:12"; }'),
  },
  vm: {
    ...same(['environment', 'environments', 'env-file', 'env_file'], 'variables are written env NAME="value"'),
    ...same(['synced-folder', 'synced_folder', 'folder', 'mount', 'mounts', 'bind'], shared),
    ...same(['box', 'base', 'from'], 'the image is written image "debian:12"'),
    ...same(['expose', 'publish', 'forward', 'forwarded-port', 'forwarded_port'], forwarded),
    ...same(['build'], 'an image is not built; dockerfile "./Dockerfile" sets a VM up by one'),
    ...same(
      ['command', 'cmd', 'entrypoint', 'exec'],
      'it has no counterpart: a VM runs what its guest starts at boot. provision "shell" { … } runs a command, or makes a service of it',
    ),
    ...same(
      ['restart', 'restart-policy', 'restart_policy'],
      'it has no counterpart: a guest restarts its services itself. `vmctl install` brings VMs up when the host boots',
    ),
    ...same(['name', 'container-name', 'container_name'], 'the name of a VM stands behind vm: vm "web" { … }'),
    ...same(['deploy', 'resources'], 'vcpus, memory and replicas are nodes of the vm'),
    ...same(['provider', 'backend', 'hypervisor'], 'VMCTL_BACKEND names the backend; settings of QEMU stand in qemu { … }'),
    ...same(['gui', 'graphics', 'video'], 'a window is opened by qemu { display "gtk"; }'),
  },
}

/** What to write for a word that another tool has there; undefined for one that is no such word. */
export const hintForForeign = (word: string, label: string): string | undefined => {
  const known = words[label === 'defaults' ? 'vm' : label]
  return known && Object.hasOwn(known, word) ? known[word] : undefined
}
