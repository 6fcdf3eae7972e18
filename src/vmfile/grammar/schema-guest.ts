import {isHostname} from '../../model/names.ts'
import {runModes, sshKeyTypes} from '../../model/vm.ts'
import {anyText, boolean, duration, durationOf, fileMode, integer, path, text, word} from './kinds.ts'
import {guestPath, ownerName, userName, variableName} from './schema-words.ts'
import {block, choice, defaulted, field, list, pairs, required, rows} from './shapes.ts'
import type {Kind} from './shapes.ts'

const privileged = defaulted(boolean, false, 'Work as root, by way of sudo.')

const environment = pairs(anyText, variableName, 'Environment variables.')

/** Where the value of a secret is: here, in a variable of vmctl's own environment, or in a file of this computer. */
export type SecretSource = {readonly text: string} | {readonly variable: string} | {readonly file: string}

const secret = (kind: Kind<string>, wrap: (value: string) => SecretSource): Kind<SecretSource> => ({
  ...kind,
  read(value, fail) {
    const read = kind.read(value, fail)
    return read === undefined ? undefined : wrap(read)
  },
})
const hostVariable = text('variable name', {rule: variableName.keyRule, isValid: variableName.isKey, example: '"CI_TOKEN"'})
const secretEnvironment = pairs(
  secret(anyText, (value) => ({text: value})),
  {
    ...variableName,
    instead: {
      'from-env': secret(hostVariable, (variable) => ({variable})),
      'from-file': secret(path('"token.txt"'), (file) => ({file})),
    },
  },
  'Environment variables whose values are neither shown nor kept; in the block also taken from a variable or a file of this computer.',
)

const interval = {leastMs: 1000, least: 'at least 1 s', example: '"30s"'}
export const healthcheck = block(
  'How it is found out whether what the guest is for works.',
  {exclusive: ['test', 'tcp', 'http']},
  {
    test: rows(
      text('command', {example: '"curl -fs http://localhost/"'}),
      'One argument is a line for the shell of the guest, several are a program and its arguments.',
      {},
    ),
    tcp: field(integer(1, 65_535, '5432'), 'Port of the guest that accepts connections.'),
    http: field(
      text('URL', {
        rule: 'it starts with http:// or https://',
        isValid: (url) => /^https?:\/\/[^\s\p{Cc}]+$/u.test(url) && URL.canParse(url),
        example: '"http://localhost:8080/"',
      }),
      'URL, as seen from the guest, that answers with a status below 400.',
    ),
    interval: defaulted(durationOf(interval), 30_000, 'Time between two checks.'),
    timeout: defaulted(durationOf(interval), 5000, 'How long one check may take.'),
    retries: defaulted(integer(1, 1000, '3'), 3, 'Failures in a row that make the VM unhealthy.'),
    'start-period': defaulted(durationOf({leastMs: 0, least: '0 or more'}), 0, 'Time after the start in which failures do not count.'),
  },
)

const buildArguments = pairs(anyText, variableName, 'Values of its ARG instructions.')
const context = field(path('"."'), 'Directory that COPY and ADD start from; that of the Dockerfile when absent.')
export const dockerfile = block(
  'A Dockerfile that sets up the guest at its first boot; FROM is the image unless the VM has one.',
  {argument: required(path('"./Dockerfile"'), 'Path of the Dockerfile.')},
  {context, 'build-arg': buildArguments},
)

const command = text('command', {example: '"systemctl restart nginx"'})
const writeFile = block(
  'A file that is written at the first boot.',
  {argument: required(guestPath, 'Where it goes in the guest.'), repeatable: true, exclusive: ['content', 'source']},
  {
    content: field(anyText, 'What is in it.'),
    source: field(path('"logo.png"'), 'File of this computer that is copied.'),
    permissions: field(fileMode, 'Mode of the file; "0644" when absent.', {synonyms: ['mode']}),
    owner: field(ownerName, 'Owner of the file; "root:root" when absent.'),
  },
)

export const cloudInit = block(
  'Configures the guest at its first boot.',
  {},
  {
    hostname: field(
      text('host name', {rule: 'letters, digits and inner dashes, in parts joined by dots', isValid: isHostname, example: '"web"'}),
      'Host name of the guest; the name of the VM when absent.',
    ),
    user: field(userName, 'User to create in the guest; the SSH user when absent.'),
    'ssh-key': list(text('public key', {example: '"~/.ssh/id_ed25519.pub"'}), 'Path of a file with public keys, or a public key itself.', {
      synonyms: ['ssh-keys', 'public-key', 'ssh-authorized-keys'],
    }),
    'user-data': field(path('"cloud-config.yaml"'), 'File that is passed to cloud-init untouched, instead of what vmctl generates.'),
    merge: field(boolean, 'Pass what vmctl generates beside user-data.'),
    packages: list(
      text('package', {
        rule: 'a name without blanks; a version may follow a =',
        isValid: (name) => /^[A-Za-z0-9][^\s\p{Cc}]*$/u.test(name),
        example: '"nginx"',
      }),
      'Packages to install.',
      {synonyms: ['package']},
    ),
    'package-update': field(boolean, 'Read the lists of packages anew first.'),
    'package-upgrade': field(boolean, 'Upgrade all packages first.'),
    'write-file': writeFile,
    bootcmd: rows(command, 'Command that runs early at every boot; several arguments are a program and its arguments.', {repeatable: true}),
    runcmd: rows(command, 'Command that runs at the end of the first boot; several arguments are a program and its arguments.', {
      repeatable: true,
    }),
    'network-config': field(path('"network-config.yaml"'), 'File with the network configuration, passed untouched.'),
    'vendor-data': field(path('"vendor-data.yaml"'), 'File with vendor-data, passed untouched.'),
    timezone: field(
      text('time zone', {
        rule: 'a name of the tz database',
        isValid: (zone) => /^[\w+-]+(?:\/[\w+-]+)*$/.test(zone),
        example: '"Europe/Paris"',
      }),
      'Time zone.',
    ),
    locale: field(text('locale', {isValid: (name) => /^[\w.@-]+$/.test(name), example: '"en_US.UTF-8"'}), 'Locale.'),
    password: field(
      text('password', {example: '"…"', rule: 'a text, or a hash made by `openssl passwd -6`'}),
      'Password of the user, best as a hash made by `openssl passwd -6`; without it only keys log in.',
    ),
    'console-autologin': field(boolean, 'Whether the serial console logs the user in without asking.'),
  },
)

export const ssh = block(
  'How vmctl logs in to the guest; needed for provisioning and `vmctl ssh`.',
  {body: 'fields'},
  {
    user: field(userName, 'User to log in as; the user of cloud-init, or "vm", when absent.'),
    'private-key': field(path('"~/.ssh/id_ed25519"'), 'Private key; the generated one, or those of ~/.ssh, when absent.', {
      synonyms: ['identity', 'identity-file', 'key'],
    }),
    port: field(integer(1, 65_535, '2222'), 'Port of this computer that leads to SSH in the guest; chosen, and kept, when absent.'),
    'host-key-check': field(
      word('host key check', 'pin', 'accept-new', 'off'),
      'What makes the host key of the guest trusted: that it is known from the start, that it stays the same, or nothing.',
    ),
    'key-type': field(
      word('key type', ...sshKeyTypes),
      'Kind of the host key and of the key pair that vmctl makes; "ed25519" when absent. Guests in FIPS mode take "ecdsa" and "rsa" only.',
    ),
    'connect-timeout': field(duration, 'How long the guest may take to let vmctl in without making progress.'),
  },
)

const run = field(
  word('run mode', ...runModes),
  'When a step that is done runs again: at each start (a file: when it is no longer there), when it changed, or never; `always` when absent.',
)

export const provision = choice(
  'One step that sets up the guest. Steps run in the order of the file.',
  {
    noun: 'provision type',
    default: 'shell',
    repeatable: true,
    extensible: true,
    common: {run},
  },
  {
    shell: {
      inline: field(text('command', {example: '"apt-get update"'}), 'Command line to run in the guest.'),
      script: field(path('"scripts/setup.sh"'), 'Script to copy into the guest and run there.'),
      args: list(anyText, 'Arguments of the script.'),
      env: environment,
      'secret-env': secretEnvironment,
      timeout: field(duration, 'How long the step may take.'),
      interpreter: field(
        text('program', {example: '"python3"'}),
        'Program of the guest that runs it; the shell, or the first line of the script, when absent.',
      ),
      privileged,
      run,
    },
    file: {
      source: required(path('"app.conf"'), 'File or directory to copy.'),
      destination: required(guestPath, 'Where it goes in the guest.'),
      mode: field(fileMode, 'Mode of the copy; that of the source when absent.'),
      owner: field(ownerName, 'Owner of the copy.'),
      ignore: list(text('pattern', {example: '"node_modules"'}), 'What a directory is copied without, as in .gitignore.'),
      mirror: defaulted(boolean, false, 'Delete what the destination has and the source directory does not.'),
      privileged,
      run,
    },
    dockerfile: {
      path: required(path('"./Dockerfile"'), 'Path of the Dockerfile.'),
      context,
      'build-arg': buildArguments,
      run,
    },
    reboot: {
      timeout: field(duration, 'How long the guest may take to come back; 10 minutes when absent.'),
      run,
    },
  },
)

/** The provision types that every vmctl knows; plugins bring more. */
export const provisionVariants = provision.variants
