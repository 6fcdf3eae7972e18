import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {afterAll, beforeAll, expect, test} from 'vitest'

import {describeUnless} from '../../test/support/programs.ts'
import {type Project, startProject} from '../../test/support/project.ts'
import {sshdMissing} from '../../test/support/sshd.ts'

const isRoot = process.getuid?.() === 0
const missing = sshdMissing() ?? (isRoot ? undefined : 'a Dockerfile works as root in the guest, and the host plays the guest')

describeUnless(missing)('provision "dockerfile"', () => {
  let project: Project
  let guest: string
  beforeAll(async () => {
    project = await startProject()
    guest = join(project.workspace.directory, 'guest')
  })
  afterAll(() => project[Symbol.asyncDispose]())

  const write = (path: string, text: string): void => {
    const whole = join(project.workspace.directory, path)
    mkdirSync(join(whole, '..'), {recursive: true})
    writeFileSync(whole, text)
  }
  // No ENV: it would go to /etc/environment of the host, which plays the guest.
  const dockerfile = (last: string): void => {
    write(
      'Dockerfile',
      `FROM base.qcow2
ARG VERSION=1
ARG GREETING="good day"
WORKDIR ${guest}
COPY app app/
RUN echo "run \${VERSION} in $(pwd): $GREETING" | tee -a log
${last}
EXPOSE 80
`,
    )
  }
  const up = async () =>
    project.run(project.vm('web', '  provision "dockerfile" {\n    path "Dockerfile"\n    build-arg VERSION="2"\n  }'), 'up')

  test('its instructions run in their order, each a step of its own', async () => {
    write('app/main.js', 'one')
    write('app/skipped.log', 'no')
    write('.dockerignore', '**/*.log\n')
    dockerfile('RUN echo last >>log')
    const {exitCode, stdout, stderr} = await up()
    expect({exitCode, stderr}).toMatchObject({exitCode: 0})
    expect(stdout).toContain(`run 2 in ${guest}: good day`)
    expect(stderr).toMatch(/step 2 of 4: Dockerfile:5 COPY app app\/[^]*step 3 of 4: Dockerfile:6 RUN echo/)
    expect(readFileSync(join(guest, 'app/main.js'), 'utf8')).toBe('one')
    expect(existsSync(join(guest, 'app/skipped.log'))).toBe(false)
    expect(readFileSync(join(guest, 'log'), 'utf8')).toBe(`run 2 in ${guest}: good day\nlast\n`)
  })

  test('nothing runs again until something changes, and then what is behind it', async () => {
    expect((await up()).stdout).not.toContain('run 2')
    dockerfile('RUN echo changed >>log')
    expect((await project.run(undefined, 'plan')).stdout).toMatch(/step 4 \(Dockerfile:7 RUN echo changed >>log\)/)
    expect(await up()).toMatchObject({exitCode: 0})
    expect(readFileSync(join(guest, 'log'), 'utf8')).toBe(`run 2 in ${guest}: good day\nlast\nchanged\n`)
    write('app/main.js', 'two')
    expect(await up()).toMatchObject({exitCode: 0})
    expect(readFileSync(join(guest, 'app/main.js'), 'utf8')).toBe('two')
    expect(
      readFileSync(join(guest, 'log'), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith('run')),
    ).toHaveLength(2)
  })

  test('a line that cannot be done is refused with its place, before anything runs', async () => {
    dockerfile('RUN --mount=type=cache,target=/x true')
    const {exitCode, stderr} = await up()
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/line 7: RUN --mount needs BuildKit[^]*VMFile.kdl:\d+:\d+\n.*path "Dockerfile"/)
  })
  test('a VM can be stopped although its Dockerfile is gone', async () => {
    rmSync(join(project.workspace.directory, 'Dockerfile'))
    const down = await project.run(undefined, 'down')
    expect({exitCode: down.exitCode, stderr: down.stderr}).toMatchObject({exitCode: 0})
    expect((await project.run(undefined, 'ps', '--json')).json.vms).toMatchObject([{name: 'web', state: 'stopped'}])
  })
})
