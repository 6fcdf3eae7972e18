/** What a path in a guest leads to. */
export interface GuestEntry {
  readonly type: 'file' | 'directory' | 'symlink' | 'other'
  /** Permission bits. */
  readonly mode: number
  readonly size: number
  /** When the content was changed, in seconds since 1970. */
  readonly modifiedAt: number
}

export interface GuestFileOptions {
  /** Called with the number of bytes so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The files of a guest without a shell, as its SSH server gives them out. A relative path starts at the user's home.
 * Every method throws `vmctl::guest::copy_failed` with the server's words, or `vmctl::ssh::connection_lost`.
 */
export interface GuestFiles {
  /** Undefined when there is nothing. A link at the end of the path is followed unless `follow` is false. */
  look(path: string, options?: {readonly follow?: boolean}): Promise<GuestEntry | undefined>
  /** Names are what the guest says: they may lead anywhere. */
  list(directory: string): Promise<readonly (GuestEntry & {readonly name: string})[]>
  linkTarget(path: string): Promise<string>
  /** Hands over a file in order, each piece when the one before was taken. */
  read(path: string, take: (piece: Buffer) => void | Promise<void>, options?: Pick<GuestFileOptions, 'signal'>): Promise<GuestEntry>
  /** Copies a local file, with its time, to where nothing is yet. Killed in between, a part of it is there. */
  create(localPath: string, path: string, options: GuestFileOptions & {readonly mode: number}): Promise<void>
  /** Copies a local file, with its time, to a place beside the destination, makes missing parents, and puts it into place as a whole. */
  put(localPath: string, path: string, options?: GuestFileOptions & {readonly mode?: number | undefined}): Promise<void>
  link(target: string, path: string): Promise<void>
  makeDirectory(path: string, mode: number): Promise<void>
  /** Makes a directory and those above it, with mode 0755, where they are missing. */
  makeParents(path: string): Promise<void>
  setMode(path: string, mode: number): Promise<void>
  /** Renames, in the place of a file or link that is there. */
  replace(from: string, to: string): Promise<void>
  /** Removes a file or a tree; nothing happens when it does not exist. */
  remove(path: string): Promise<void>
}
