import {damagedGuest, type GuestRecord, newGuest, peekGuest, readGuest, writeGuest} from '../../guest/record.ts'
import {
  emptyJournal,
  type Journal,
  type JournalKeeper,
  peekJournal,
  readJournal,
  withoutGuest,
  writeJournal,
} from '../../provision/run/journal.ts'

/**
 * What is on record of a VM's guest and of its steps, in the hands of who holds the VM's lock: read once, and handed on from
 * act to act. What was written last is what there is.
 */
export interface Records extends JournalKeeper {
  /** @throws VmctlError `vmctl::vm::record_damaged` when nobody knows */
  readonly guest: GuestRecord
  readonly writeGuest: (next: GuestRecord) => Promise<void>
}

interface Known {
  /** Absent when it is damaged. */
  readonly guest?: GuestRecord | undefined
  readonly journal: Journal
}

export const holdRecords = (vmDirectory: string, known: Known): Records => {
  let {guest, journal} = known
  const keepGuest = async (next: GuestRecord): Promise<void> => {
    await writeGuest(vmDirectory, next)
    guest = next
  }
  const keepJournal = async (next: Journal): Promise<void> => {
    await writeJournal(vmDirectory, next)
    journal = next
  }
  return {
    get guest() {
      if (guest) return guest
      throw damagedGuest(vmDirectory)
    },
    get journal() {
      return journal
    },
    writeGuest: keepGuest,
    async writeJournal(next) {
      if (next.schema !== 1 || !guest) return keepJournal(next)
      // In this order: from the first write on guest.json is what counts, so a kill in between loses nothing.
      await keepGuest(guest)
      await keepJournal(withoutGuest(next))
    },
  }
}

/** Of a VM that was just made. */
export const newRecords = (vmDirectory: string): Records => holdRecords(vmDirectory, {guest: newGuest, journal: emptyJournal})

/** @throws VmctlError `vmctl::vm::record_damaged` */
export const readRecords = async (vmDirectory: string): Promise<Required<Known>> => {
  // One after the other, so that of two that are damaged it is always the same one that is reported.
  const journal = await readJournal(vmDirectory)
  return {journal, guest: await readGuest(vmDirectory)}
}

/** For verbs that need neither: a damaged journal is an empty one, and a damaged record of the guest is left to who asks for it. */
export const peekRecords = async (vmDirectory: string): Promise<Known> => {
  const [journal, guest] = await Promise.all([peekJournal(vmDirectory), peekGuest(vmDirectory)])
  return {journal, guest}
}
