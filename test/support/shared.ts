import {afterAll, beforeAll} from 'vitest'

/**
 * What all tests of a `describe` share: made before the first of them, ended after the last. Its methods may be taken from it before
 * it is made.
 */
export const useShared = <T extends AsyncDisposable>(make: () => Promise<T>): T => {
  let made: T | undefined
  beforeAll(async () => {
    made = await make()
  })
  afterAll(() => made?.[Symbol.asyncDispose]())
  return new Proxy({} as T, {
    get: (_target, key) => {
      if (made) return Reflect.get(made, key)
      return (...words: readonly unknown[]): unknown => Reflect.apply(Reflect.get(made ?? {}, key), made, words)
    },
  })
}
