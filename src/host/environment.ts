const withheld = new Set<string>()

/** Keeps a variable of this process from the programs that it starts: its value is a secret. */
export const withholdVariable = (name: string): void => {
  withheld.add(name)
}

/** What programs that are started get as their environment. */
export const programEnvironment = (): NodeJS.ProcessEnv =>
  withheld.size === 0 ? process.env : Object.fromEntries(Object.entries(process.env).filter(([name]) => !withheld.has(name)))
