import type {Engine} from '../engine.ts'

/** An engine that remembers why a guest had to be forced off, for the result of a verb on one VM. */
export const noteForced = (engine: Engine): {readonly engine: Engine; readonly result: () => {readonly forced?: string}} => {
  let forced: string | undefined
  return {
    engine: {
      ...engine,
      emit: (event) => {
        if (event.type === 'vm.notice' && event.forced !== undefined) ({forced} = event)
        return engine.emit(event)
      },
    },
    result: () => (forced === undefined ? {} : {forced}),
  }
}
