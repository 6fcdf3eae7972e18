/** The commands by purpose, by their ids: the order of `vmctl --help` and of the reference. */
export const commandGroups: Readonly<Record<string, readonly string[]>> = {
  'VMs of a VMFile': ['init', 'up', 'down', 'reload', 'provision', 'plan', 'why', 'validate', 'import', 'install', 'uninstall'],
  'One VM by name': ['run', 'create', 'start', 'stop', 'restart', 'suspend', 'resume', 'destroy', 'clone', 'package'],
  Snapshots: ['try', 'snapshot:create', 'snapshot:ls', 'snapshot:diff', 'snapshot:restore', 'snapshot:rm'],
  'Look inside': ['list', 'ps', 'projects', 'status', 'log', 'inspect', 'graph', 'exec', 'ssh', 'ssh-config', 'cp', 'console'],
  Images: [
    'image:search',
    'image:pull',
    'image:build',
    'image:list',
    'image:inspect',
    'image:lock',
    'image:update',
    'image:verify',
    'image:push',
    'image:rm',
    'image:prune',
  ],
  Networks: ['network:ls', 'network:rm'],
  Volumes: ['volume:ls', 'volume:inspect', 'volume:rm'],
  Plugins: ['plugins', 'plugins:install', 'plugins:link', 'plugins:uninstall', 'plugins:update'],
  'The host': ['doctor', 'disk-usage', 'prune', 'devices', 'completion', 'version'],
}
