import {execFileSync} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {basename, dirname, join, relative} from 'node:path'

import {afterEach, beforeEach, describe, expect, onTestFinished, test} from 'vitest'

import {fileProvisioner} from '../steps/file.ts'
import {type DockerfilePlan, readDockerfile, readOnce} from './index.ts'
import {parseDockerfile} from './parse.ts'
import {expandWord, splitWords} from './words.ts'
import type {FileSettings} from '../../model/steps.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vmctl-dockerfile-'))
})
afterEach(() => rmSync(directory, {recursive: true, force: true}))

const write = (path: string, content = path): void => {
  mkdirSync(dirname(join(directory, path)), {recursive: true})
  writeFileSync(join(directory, path), content)
}

const read = (text: string, buildArgs: Record<string, string> = {}): Promise<DockerfilePlan> => {
  write('Dockerfile', text)
  return readDockerfile({path: join(directory, 'Dockerfile'), context: directory, buildArgs})
}

/** Runs the shell steps in order, as a guest would, and returns what they print. */
const run = ({steps}: DockerfilePlan): string =>
  steps
    .flatMap((step) => (step.type === 'shell' ? [step.settings] : []))
    .map(({inline = '', env}) => execFileSync('sh', ['-c', inline], {env, encoding: 'utf8'}))
    .join('')

const copies = ({steps}: DockerfilePlan): FileSettings[] => steps.flatMap((step) => (step.type === 'file' ? [step.settings] : []))

const src = ['src/', 'src/a.js', 'src/lib/', 'src/lib/b.js', 'src/lib/b.md']

describe('syntax', () => {
  test('continuations, comments and blank lines between them, both escapes', () => {
    const {instructions} = parseDockerfile('# a comment\n\nrun a && \\  \n  # inside\n\n  b\\\n c\nFROM x')
    expect(instructions.map(({keyword, line, text}) => [keyword, line, text])).toEqual([
      ['RUN', 3, 'a &&   b c'],
      ['FROM', 8, 'x'],
    ])
    expect(parseDockerfile('# escape=`\nRUN dir c:\\ `\n  more').instructions[0]?.text).toBe(String.raw`dir c:\   more`)
  })

  // Cases of BuildKit's parser: `([^\\])\\[ \t]*$|^\\[ \t]*$` continues.
  test.each([
    ['ENV A C:\\\\dir\\\\\nENV B second', ['A C:\\\\dir\\\\', 'B second']],
    ['RUN a \\\\ \t\nRUN b', ['a \\\\', 'b']],
    ['RUN a \\\\\\\nRUN b', ['a \\\\\\', 'b']],
    ['RUN a\\\n  \\\nb', ['a  b']],
    ['RUN a \\\n\\\nb', ['a b']],
    ['RUN a \\\n# no \\\n   # nor this\nb', ['a b']],
    ['RUN a \\ # no comment\nRUN b', ['a \\ # no comment', 'b']],
    ['RUN a \\', ['a']],
    ['# escape=`\nENV A x``\nRUN b `\nc\nRUN c:\\', ['A x``', 'b c', 'c:\\']],
    ['# syntax=x\n#escape = `\nRUN a`\nb', ['ab']],
    ['# a comment\n# escape=`\nRUN a`\nRUN b', ['a`', 'b']],
    ['\n# escape=`\nRUN a`\nRUN b', ['a`', 'b']],
    ['RUN <<E\na \\\nE\nRUN b', ['<<E', 'b']],
    ['RUN cat <<E \\\n && c\n# content\nE', ['cat <<E  && c']],
  ])('what continues, and what does not: %j', (text, expected) => {
    expect(parseDockerfile(text).instructions.map((one) => one.text)).toEqual(expected)
  })

  test('escape is given once', () => expect(() => parseDockerfile('# escape=`\n# escape=\\\n')).toThrow('escape is given twice'))

  test('the exec form keeps blanks; what only looks like it is a shell line', () => {
    expect(parseDockerfile('RUN ["echo", "a b", "\\"q\\""]').instructions[0]?.exec).toEqual(['echo', 'a b', '"q"'])
    expect(parseDockerfile("RUN ['echo']").instructions[0]?.exec).toBeUndefined()
    expect(parseDockerfile('RUN [ -e /x ]').instructions[0]?.exec).toBeUndefined()
  })

  test('here-documents, several, with tabs, with a text that looks like instructions', () => {
    const [first, second] = parseDockerfile('RUN <<A <<-"B"\nFROM x # \\\nA\n\tone\n\tB\nRUN echo "<<C"').instructions
    expect(first?.documents.map(({name, content, expands}) => [name, content, expands])).toEqual([
      ['A', 'FROM x # \\\n', true],
      ['B', 'one\n', false],
    ])
    expect(second?.documents).toEqual([])
    expect(() => parseDockerfile('FROM x\nRUN <<A\nno end')).toThrow('the here-document A has no end')
  })
})

describe('words', () => {
  const values: Readonly<Record<string, string>> = {A: 'one', EMPTY: '', B: 'b c'}
  const expand = (word: string): string => expandWord(word, (name) => values[name], '\\')
  test.each([
    ['$A', 'one'],
    ['x${A}y', 'xoney'],
    ['$Ax', ''],
    [String.raw`\$A`, '$A'],
    ["'$A'", '$A'],
    ['"$A \'$B\'"', "one 'b c'"],
    [String.raw`"\$A \n \" \\"`, String.raw`$A \n " ${'\\'}`],
    ['${N:-d}', 'd'],
    ['${EMPTY:-d}', 'd'],
    ['${EMPTY-d}', ''],
    ['${A:+alt}', 'alt'],
    ['${N:+alt}', ''],
    ['${N:-${A}}', 'one'],
    ['a\\ b', 'a b'],
    ['5$', '5$'],
  ])('%s is %s', (word, expanded) => expect(expand(word)).toBe(expanded))
  test.each(['${A:1:2}', '${A%x}', '${}', '${N:?is missing}'])('%s is refused', (word) => expect(() => expand(word)).toThrow())
  test('blanks in quotes and behind the escape do not split', () =>
    expect(splitWords('A=1 B="x y"  C=\'p q\' D=u\\ v', '\\')).toEqual(['A=1', 'B="x y"', "C='p q'", 'D=u\\ v']))
})

describe('meaning', () => {
  test('ENV and ARG are seen by what follows, and each RUN has a shell of its own', async () => {
    const plan = await read(
      `ARG TAG=noble
FROM ubuntu:\${TAG} AS base
ARG TAG
ARG GREETING="good day"
ENV A=1 B="$GREETING" PATH=/opt/x:$PATH
ENV A=2 C=$A
RUN cd / && X=lost; echo "$A $B $C $TAG"
RUN echo "[$X]" "$PATH"
RUN ["echo", "$A", "a b"]
`,
      {GREETING: 'hello there'},
    )
    expect(plan.base).toBe('ubuntu:noble')
    expect(run(plan)).toBe('2 hello there 1 noble\n[] /opt/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n$A a b\n')
    expect(plan.environment).toEqual({
      A: '2',
      B: 'hello there',
      C: '1',
      PATH: '/opt/x:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    })
  })

  test('WORKDIR, SHELL and here-documents', async () => {
    const plan = await read(`FROM x
WORKDIR ${directory}/a
WORKDIR b
RUN pwd
SHELL ["/bin/sh", "-ec"]
RUN false; echo not reached || true
`)
    expect(() => run(plan)).toThrow()
    const scripts = await read(`FROM x
RUN <<E
echo one
echo two
E
RUN <<E
#!/usr/bin/env -S sh -e
echo "by $0" | sed 's/tmp.*/script/'
E
RUN cat <<-'E' && echo end
	$HOME
	E
`)
    expect(run(scripts)).toBe('one\ntwo\nby /script\n$HOME\nend\n')
    expect(run(await read(`FROM x\nWORKDIR ${directory}/a\nWORKDIR b\nRUN pwd`))).toBe(`${directory}/a/b\n`)
  })

  test('COPY: order, destinations, owners, modes, patterns, .dockerignore', async () => {
    for (const path of ['one.txt', 'two.txt', 'src/main.js', 'src/node_modules/x', 'secret.env']) write(path)
    write('.dockerignore', '# no\n*.env\nsrc/node_modules\n**/*.log\n!keep.log\n')
    const plan = await read(`FROM x
WORKDIR /opt
RUN true
COPY one.txt renamed
COPY --chown=www:www --chmod=640 *.txt conf/
COPY src app
COPY . .
ADD one.txt /etc/
COPY <<"E" /etc/motd
hello $USER
E
`)
    expect(plan.steps.map(({type, settings}) => (type === 'shell' ? 'shell' : settings))).toEqual([
      'shell',
      'shell',
      {source: join(directory, 'one.txt'), destination: '/opt/renamed', privileged: true, owner: 'root:root'},
      {source: join(directory, 'one.txt'), destination: '/opt/conf/one.txt', privileged: true, owner: 'www:www', mode: 0o640},
      {source: join(directory, 'two.txt'), destination: '/opt/conf/two.txt', privileged: true, owner: 'www:www', mode: 0o640},
      {
        source: join(directory, 'src'),
        destination: '/opt/app',
        privileged: true,
        owner: 'root:root',
        ignore: ['node_modules', '**/*.log'],
        ignoreRules: 'dockerignore',
      },
      {
        source: directory,
        destination: '/opt',
        privileged: true,
        owner: 'root:root',
        ignore: ['*.env', 'src/node_modules', '**/*.log', '!keep.log'],
        ignoreRules: 'dockerignore',
      },
      {source: join(directory, 'one.txt'), destination: '/etc/one.txt', privileged: true, owner: 'root:root'},
      'shell',
    ])
    expect(plan.steps.at(-1)?.settings).toMatchObject({inline: expect.stringContaining("'hello $USER\n'")})
    expect(plan.steps[3]?.title).toBe('Dockerfile:5 COPY *.txt conf/')
  })

  test('COPY: the context is the root of links, of absolute ones and of ..', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'vmctl-outside-'))
    onTestFinished(() => rmSync(outside, {recursive: true, force: true}))
    writeFileSync(join(outside, 'secret'), 'secret')
    for (const path of ['a', 'sub/deep/x', 'sub/y', 'hidden/z', 'etc/passwd']) write(path)
    write('.dockerignore', 'hidden\nno-entry')
    for (const [target, link] of [
      [join(outside, 'secret'), 'file-link'],
      [outside, 'dir-link'],
      [`../${basename(outside)}/secret`, 'up-link'],
      ['file-link', 'link-to-link'],
      ['/sub', 'absolute'],
      ['/etc/passwd', 'passwd'],
      ['../../a', 'sub/over'],
      ['sub/deep', 'inside'],
      ['loop', 'loop'],
      ['hidden', 'to-hidden'],
      ['a', 'no-entry'],
    ] as const) {
      symlinkSync(target, join(directory, link))
    }
    const sources = async (source: string): Promise<string[]> =>
      copies(await read(`FROM x\nCOPY ${source} /to/`)).map(({source: from, destination}) => `${from} ${destination}`)
    const none = [
      ...['file-link', 'dir-link', 'dir-link/secret', 'up-link', 'link-to-link', 'loop'],
      ...['to-hidden', 'to-hidden/z', 'no-entry', 'dir-l*/secret', 'fil*'],
    ]
    for (const source of none) await expect(sources(source), source).rejects.toThrow('is not in')
    const at = (path: string): string => join(directory, path)
    expect(await sources('passwd')).toEqual([`${at('etc/passwd')} /to/passwd`])
    expect(await sources('absolute/y')).toEqual([`${at('sub/y')} /to/y`])
    expect(await sources('absolute/*')).toEqual([`${at('sub/deep')} /to`, `${at('a')} /to/over`, `${at('sub/y')} /to/y`])
    expect(await sources('inside')).toEqual([`${at('sub/deep')} /to`])
    expect(await sources('../../a')).toEqual([`${at('a')} /to/a`])
    expect(await sources('sub/d*/x')).toEqual([`${at('sub/deep/x')} /to/x`])
    await expect(sources('in*/x')).rejects.toThrow('is not in')
  })

  test('COPY and .dockerignore: a pattern takes hidden files too', async () => {
    for (const path of ['.env', 'a.env', '.x/y.log', 'b']) write(path)
    write('.dockerignore', '*.env\n**/*.log\nDockerfile\n.dockerignore')
    for (const source of ['.env', '.x/y.log']) await expect(read(`FROM x\nCOPY ${source} /to/`)).rejects.toThrow('is not in')
    const plan = await read('FROM x\nCOPY * /to/')
    expect(copies(plan).map(({source}) => source)).toEqual([join(directory, '.x'), join(directory, 'b')])
  })

  /** What the file steps of a Dockerfile bring, relative to the context; a directory ends with a slash. */
  const brought = async (dockerfile: string): Promise<string[]> => {
    const plan = await read(`FROM x\n${dockerfile}`)
    const all = await Promise.all(
      copies(plan).map(async (settings) => {
        const facts = await fileProvisioner.facts(settings, {env: {}})
        const isOwn = (name: string): boolean => name === settings.source && statSync(name).isDirectory()
        return Object.keys(facts).filter((name) => name.startsWith(`${directory}/`) && !isOwn(name))
      }),
    )
    const paths = all.flat()
    return paths.map((path) => relative(directory, path) + (statSync(path).isDirectory() ? '/' : '')).toSorted()
  }

  test.each([
    ['only what is taken back comes', '*\n!src', 'COPY . /to/', ['src/', 'src/a.js', 'src/lib/', 'src/lib/b.js', 'src/lib/b.md']],
    ['below an ignored directory, with the directories on the way', 'deps\n!deps/x/keep', 'COPY deps /to/', ['deps/x/', 'deps/x/keep']],
    ['of several levels, the last match counts', 'deps\n!deps/x\ndeps/x/drop', 'COPY deps /to', ['deps/x/', 'deps/x/keep']],
    [
      'an exception that comes first does nothing',
      '!deps/x/keep\ndeps',
      'COPY . /to',
      ['Dockerfile', 'README-secret.md', 'README.md', ...src],
    ],
    ['the example of the Docker manual', '*.md\n!README*.md\nREADME-secret.md\ndeps\nsrc', 'COPY . /to', ['Dockerfile', 'README.md']],
    ['the same in another order', '*.md\nREADME-secret.md\n!README*.md\n*s*c*\ndeps', 'COPY . /to', ['Dockerfile', 'README.md']],
    ['patterns reach through ignored directories', 'src\n!**/*.md', 'COPY src /to', ['src/lib/', 'src/lib/b.md']],
    ['everything but Markdown', '**\n!**/*.md', 'COPY . /to', ['README-secret.md', 'README.md', 'src/', 'src/lib/', 'src/lib/b.md']],
    ['a file that is named', 'deps\n!deps/x/keep', 'COPY deps/x/keep /to/', ['deps/x/keep']],
    ['files by a pattern', 'deps\n!deps/x/keep', 'COPY deps/x/* deps/*/k*p /to/', ['deps/x/keep', 'deps/x/keep']],
    ['a source below what is ignored as a whole', 'src\n!src/lib/*.js', 'COPY src/lib /to', ['src/lib/b.js']],
    ['a source within what is taken back', 'src\n!src/lib', 'COPY src/lib /to', ['src/lib/b.js', 'src/lib/b.md']],
    ['a blank before # is no comment', ' #src\n#deps\nsrc\ndeps', 'COPY . /to', ['Dockerfile', 'README-secret.md', 'README.md']],
  ])('.dockerignore: %s', async (_, rules, dockerfile, expected) => {
    for (const path of [...src, 'README.md', 'README-secret.md', 'deps/x/keep', 'deps/x/drop', 'deps/y/drop'].filter(
      (one) => !one.endsWith('/'),
    ))
      write(path)
    write('.dockerignore', `${rules}\n.dockerignore`)
    expect(await brought(dockerfile)).toEqual(expected)
  })

  test('.dockerignore: an ignored directory of which nothing is taken back is not there', async () => {
    for (const path of ['deps/x/drop', 'a']) write(path)
    write('.dockerignore', 'deps\n!deps/y/keep\n!b/*')
    symlinkSync('deps', join(directory, 'b'))
    await expect(read('FROM x\nCOPY deps /to')).rejects.toThrow('is not in')
    await expect(read('FROM x\nCOPY deps/* /to/')).rejects.toThrow('is not in')
    await expect(read('FROM x\nCOPY b /to/')).rejects.toThrow('is not in')
  })

  test('.dockerignore: one that is called after the Dockerfile, beside it, takes the place of that of the context', async () => {
    for (const path of ['context/a', 'context/b']) write(path)
    write('context/.dockerignore', 'a')
    write('build/app.Dockerfile', 'FROM x\nCOPY ? /to/')
    const sources = async (): Promise<unknown[]> => {
      const plan = await readDockerfile({path: join(directory, 'build/app.Dockerfile'), context: join(directory, 'context'), buildArgs: {}})
      return copies(plan).map(({source}) => basename(source))
    }
    expect(await sources()).toEqual(['b'])
    write('build/app.Dockerfile.dockerignore', 'b')
    expect(await sources()).toEqual(['a'])
    write('build/app.Dockerfile.dockerignore', '')
    expect(await sources()).toEqual(['a', 'b'])
  })

  test('COPY: pipes and sockets that a pattern finds are left out with a warning, one that is named is an error', async () => {
    write('a')
    execFileSync('mkfifo', [join(directory, 'pipe')])
    symlinkSync('pipe', join(directory, 'to-pipe'))
    const {steps, warnings} = await read('FROM x\nCOPY [ap]* /to/')
    expect(steps).toHaveLength(1)
    expect(warnings).toEqual(['line 2: pipe is a pipe and is left out'])
    await expect(read('FROM x\nCOPY pipe /to')).rejects.toThrow('pipe is a pipe, which cannot be copied')
    await expect(read('FROM x\nCOPY to-pipe /to')).rejects.toThrow('to-pipe is a pipe, which cannot be copied')
  })

  test('what means nothing in a VM is told', async () => {
    const {warnings, steps} = await read('FROM x\nEXPOSE 80\nCMD ["nginx"]\nLABEL a=b')
    expect(steps).toEqual([])
    expect(warnings).toEqual([
      'line 2: EXPOSE means nothing in a VM and is left out',
      'line 3: CMD means nothing in a VM and is left out',
      'line 4: LABEL means nothing in a VM and is left out',
    ])
  })

  test.each([
    ['RUN true', 1, 'a Dockerfile needs FROM'],
    ['RUN true\nFROM x', 1, 'only ARG may stand before FROM'],
    ['FROM x\n\nFROM y', 3, 'a second FROM'],
    ['FROM x\nONBUILD RUN y', 2, 'ONBUILD'],
    ['FROM x\nFOO bar', 2, 'FOO is not an instruction'],
    ['FROM x\nRUN --mount=type=cache,target=/x y', 2, 'RUN --mount needs BuildKit'],
    ['FROM x\nCOPY --from=base a b', 2, 'COPY --from'],
    ['FROM x\nCOPY --parents a b', 2, 'COPY --parents is not supported'],
    ['FROM x\nADD https://example.com/x /y', 2, 'ADD of a URL'],
    ['FROM x\nADD a.tar.gz /y', 2, 'ADD would unpack'],
    ['FROM x\nCOPY missing /y', 2, 'missing is not in'],
    ['FROM x\nCOPY ../../etc/passwd /y', 2, 'is not in'],
    ['FROM x\nCOPY /etc/passwd /y', 2, '/etc/passwd is not in'],
    ['FROM x\nCOPY a', 2, 'needs a source and a destination'],
    ['FROM x\nENV A', 2, 'ENV A has no value'],
    ['FROM x\nENV 1A=b', 2, 'ENV cannot set 1A=b'],
    ['FROM x\nUSER a:b', 2, 'USER with a group'],
    ['FROM x\nUSER $NONE', 2, 'USER cannot be ""'],
    ['FROM x\nSHELL bash', 2, 'SHELL takes the exec form'],
    ['FROM x\nWORKDIR ${A%b}', 2, 'is not a substitution'],
  ])('%j is refused', async (text, line, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'vmctl::provision::dockerfile_invalid',
      message: expect.stringContaining(`Dockerfile:${line}: `),
    })
    await expect(read(text)).rejects.toThrow(message)
  })
})

test('a reader that reads once says the same again for the same arguments, and tries again what it could not read', async () => {
  const readAgain = readOnce()
  const of = async (buildArgs: Record<string, string> = {}): Promise<string> =>
    (await readAgain({path: join(directory, 'Dockerfile'), context: directory, buildArgs})).base
  await expect(of()).rejects.toMatchObject({code: 'vmctl::io'})
  write('Dockerfile', 'ARG A=1\nARG B=1\nFROM one-$A-$B')
  expect(await of()).toBe('one-1-1')
  expect(await of({A: '2', B: '3'})).toBe('one-2-3')
  write('Dockerfile', 'ARG A=1\nARG B=1\nFROM two-$A-$B')
  expect(await Promise.all([of(), of({B: '3', A: '2'}), of({A: '4'})])).toEqual(['one-1-1', 'one-2-3', 'two-4-1'])
})
