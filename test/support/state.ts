/** The state directory as tests of commands look into it, which themselves may know the engine only. */
export {generateKeyPair} from '../../src/guest/keys/keys.ts'
export {lockVm, openStore, readVm, stageDirectory} from '../../src/store/store.ts'
