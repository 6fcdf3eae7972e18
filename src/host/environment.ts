const withheld = new Set<string>()

/** Keeps a variable of this process from the programs that it starts: its value is a secret. */
export const withholdVariable = (name: string): void => {
  withheld.add(name)
}

/** What programs that are started get as their environment. */
export const programEnvironment = (): NodeJS.ProcessEnv =>
  withheld.size === 0 ? process.env : Object.fromEntries(Object.entries(process.env).filter(([name]) => !withheld.has(name)))

/** Where programs, libraries, files and displays are, and how to speak to people: what QEMU and its like may need. */
const lasting =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|LANG|LANGUAGE|LC_\w+|XDG_\w+|LD_LIBRARY_PATH|LD_PRELOAD|QEMU_\w+|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|DBUS_SESSION_BUS_ADDRESS|PULSE_\w+)$/

/**
 * What programs that outlive this one get. The environment of whoever starts a VM is full of tokens; a process that stands
 * for days, and that a guest may break into, has no use for them.
 */
export const lastingEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(programEnvironment()).filter(([name]) => lasting.test(name)))
