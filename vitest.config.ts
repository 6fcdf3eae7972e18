import {defineConfig} from 'vitest/config'

// Many of these wait for sockets, programs and locks, so more of them than there are cores run at once.
const quick = {testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 4}

export default defineConfig({
  test: {
    disableConsoleIntercept: true,
    // A test that asserts nothing fails, and so does a snapshot that is not there: only `-u` writes one.
    expect: {requireAssertions: true},
    update: 'none',
    projects: [
      {
        extends: true,
        test: {...quick, name: 'unit', include: ['src/**/*.test.ts', 'test/*.test.ts'], exclude: ['src/**/*.part.test.ts']},
      },
      {
        extends: true,
        test: {...quick, name: 'part', include: ['src/**/*.part.test.ts', 'test/*/*.part.test.ts']},
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/*.e2e.ts'],
          // Without KVM a guest that boots keeps a core busy; more of them at once only stand in each other's way.
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 900_000,
          globalSetup: ['test/e2e/setup.ts'],
        },
      },
    ],
  },
})
