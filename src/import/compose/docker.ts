import {basename} from 'node:path'

import {looksLikeImagePath} from '../../model/catalogue.ts'
import {builtInCatalogue} from '../../model/catalogue-entries.ts'
import {type Fields, fieldsOf, textOf} from './reader.ts'

/** Settings of a service that only VMs have: holos' own. */
const ofHolos = ['vm', 'cloud_init', 'dockerfile', 'replicas', 'image_format', 'image_os']

/** Settings of a service that only containers have (Compose Specification, "Services top-level elements"). */
const ofDocker = [
  ...['build', 'command', 'entrypoint', 'container_name', 'env_file', 'expose', 'links', 'network_mode', 'cap_add', 'cap_drop', 'deploy'],
  ...['logging', 'privileged', 'profiles', 'pull_policy', 'restart', 'secrets', 'configs', 'security_opt', 'stdin_open', 'tty', 'tmpfs'],
  ...[
    'ulimits',
    'user',
    'working_dir',
    'labels',
    'networks',
    'extra_hosts',
    'platform',
    'init',
    'shm_size',
    'dns',
    'sysctls',
    'ipc',
    'pid',
  ],
]

export const dockerRefusal =
  'this is a Docker Compose file: its images are containers, which no VM can start from. Run it with docker compose in a VM (image "debian:12", and provision "shell" that installs Docker), or write a vm for each service'

/** Whether `services` are containers of Docker Compose, which holos.yaml resembles. */
export const isDockerCompose = (path: string, root: Fields): boolean => {
  const services = Object.values(fieldsOf(root.services)).map(fieldsOf)
  const has = (keys: readonly string[]): boolean => services.some((service) => keys.some((key) => Object.hasOwn(service, key)))
  if (services.length === 0 || has(ofHolos)) return false
  if (has(ofDocker) || /^(?:docker-)?compose\b.*\.ya?ml$/i.test(basename(path))) return true
  return services.every(({image}) => isContainerImage(textOf(image)))
}

/** An image that is neither a file, nor a URL, nor of a distribution that vmctl has. */
const isContainerImage = (image: string | undefined): boolean => {
  if (image === undefined || image === '' || looksLikeImagePath(image))
    return image !== undefined && /^[\w.-]+\/[\w./-]+:[\w.-]+$/.test(image)
  return !builtInCatalogue.some(({name}) => name === image.split(':')[0])
}
