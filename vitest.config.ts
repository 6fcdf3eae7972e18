import {defineConfig} from 'vitest/config'

export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    projects: [
      {
        extends: true,
        // Many of these wait for sockets, programs and locks, so more of them than there are cores run at once.
        test: {name: 'unit', include: ['src/**/*.test.ts', 'test/*.test.ts'], testTimeout: 30_000, maxWorkers: 4},
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/*.e2e.ts'],
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 900_000,
          globalSetup: ['test/e2e/setup.ts'],
        },
      },
    ],
  },
})
