/** A Dockerfile whose instructions set up the guest. */
export interface DockerfileSpec {
  /** Absolute paths. */
  readonly path: string
  readonly context: string
  readonly buildArgs: Readonly<Record<string, string>>
}
