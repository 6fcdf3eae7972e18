import {afterAll, beforeAll, describe, expect, it} from 'vitest'

import {inOneLine, makeWorkspace, type Workspace} from '../../../fixtures/vmfiles/workspace.ts'

/** What people write, and what vmctl says: `line:column+length severity: message | hint`. */
const mistakes: readonly (readonly [source: string, expected: string])[] = [
  // Blocks
  ['vm "a" {', '1:8+1 error: this block is never closed | add a matching }'],
  ['vm "a" {\n  ssh {\n}', '2:7+1 error: this block is never closed | add a matching }'],
  ['vm "a" { }}', '1:11+1 error: this } closes nothing | remove it, or add the { that it closes'],
  ['vm "a"\n{\n}', '2:1+1 error: this { belongs to no node | put it on the line of its node: vm "name" {'],
  ['vm "a" { } { }', '1:12+1 error: a node has one block only | put everything into the first block'],
  ['vm "a" { } vm "b" { }', '1:12+2 error: a new node needs a line of its own | start a new line before vm, or write ; before it'],
  ['vm "a" { };;', '1:12+1 error: unexpected ; | remove it'],
  // Values without quotes
  ['vm "a" {\n  memory 2G\n}', '2:10+2 error: "2G" is not a number | a value with a unit or other letters needs quotes: "2G"'],
  ['a 1.2.3', '1:3+5 error: "1.2.3" is not a number | a value with a unit or other letters needs quotes: "1.2.3"'],
  ['a .5', '1:3+2 error: ".5" is not a number | a value with a unit or other letters needs quotes: ".5"'],
  ['a 10.0.0.0/24', '1:3+11 error: "10.0.0.0/24" is not a number | a value with a unit or other letters needs quotes: "10.0.0.0/24"'],
  ['a ./b/c.img', '1:3+9 error: a value with / in it needs quotes | write "./b/c.img"'],
  ['a ~/b', '1:3+3 error: a value with / in it needs quotes | write "~/b"'],
  ['a C:\\b', String.raw`1:3+4 error: a value with \ in it needs quotes | write "C:\\b"`],
  ['a b(c)', '1:4+1 error: unexpected ( | a value with parentheses in it needs quotes'],
  ['a (b', '1:3+1 error: unexpected ( | a value with parentheses in it needs quotes'],
  ['a (b c)', '1:3+1 error: unexpected ( | a value with parentheses in it needs quotes'],
  ['a inf', '1:3+3 error: inf is a reserved word | write "inf"'],
  // Quotes
  ["a 'b c'", `1:3+5 error: ' does not start a string | a string stands between double quotes: "b c"`],
  ["a '/b'", `1:3+4 error: ' does not start a string | a string stands between double quotes: "/b"`],
  ['a “b”', '1:3+3 error: “ does not start a string | a string stands between double quotes: "b"'],
  ['a "b', '1:3+2 error: this string is not closed on its line | add the closing ", or write text of several lines between """ and """'],
  [
    'a "b\nc"',
    '1:3+2 error: this string is not closed on its line | add the closing ", or write text of several lines between """ and """',
  ],
  ['a "b""c"', '1:6+1 error: a space is missing here | separate two values with a space'],
  ['a b"c"', '1:4+1 error: a space is missing here | separate two values with a space'],
  [String.raw`a "C:\dir"`, String.raw`1:6+2 error: unknown escape \d | write \\ for a backslash, or a raw string: #"…"#`],
  [String.raw`a "\/"`, String.raw`1:4+2 error: unknown escape \/ | a / needs no backslash`],
  [String.raw`a "\u{D800}"`, String.raw`1:4+2 error: this is not a Unicode escape | write the code point in hexadecimal, as in \u{1F600}`],
  [
    String.raw`a "\u{110000}"`,
    String.raw`1:4+2 error: this is not a Unicode escape | write the code point in hexadecimal, as in \u{1F600}`,
  ],
  ['a #"b', '1:3+2 error: this string is never closed | add the closing "#'],
  ['a #"b\nc"#', '1:3+2 error: this raw string is not closed on its line | add the closing "#, or write #""" for several lines'],
  ['a """b\n"""', '1:3+3 error: the text must begin on the line after """ | put """ at the end of the line, and the text below it'],
  ['a """\n  b"""', '2:4+3 error: the closing """ must stand on a line of its own | put it on the next line'],
  [
    'a """\n  b\n c\n  """',
    '3:1+2 error: this line is indented less than the closing """ | indent every line at least as much as the closing """, with the same tabs and spaces',
  ],
  [
    'a """\n  b \\\n  c\n d\n  """',
    '1:3+3 error: a line of this text is indented less than the closing """ | indent every line at least as much as the closing """, with the same tabs and spaces',
  ],
  ['a """\nb', '1:3+3 error: this string is never closed | add the closing """'],
  // Other languages
  ['# a comment', '1:1+1 error: # does not start a comment | a comment starts with //'],
  ['a #yes', '1:3+4 error: there is no keyword #yes | write #true or #false; a comment starts with //'],
  ['memory = 2048', '1:8+1 error: a node and its value are not joined by = | write memory 2048'],
  ['memory=2048', '1:7+1 error: a node and its value are not joined by = | write memory 2048'],
  ['a b = = c', '1:5+1 error: unexpected = | a property is written name=value'],
  ['a b=', '1:3+2 error: b has no value | write the value directly after the ='],
  ['a { b c=\n}', '1:7+2 error: c has no value | write the value directly after the ='],
  ['a "b", "c"', '1:6+1 error: values are not separated by commas | use a space instead'],
  ['a 1, 2', '1:4+1 error: values are not separated by commas | use a space instead'],
  ['a b , c', '1:5+1 error: values are not separated by commas | use a space instead'],
  ['a ["b"]', '1:3+1 error: KDL has no brackets | write a list as several values on one line: accel "kvm" "tcg"'],
  ['12 "b"', '1:1+2 error: 12 is not the name of a node | a line starts with a name, such as vcpus 2'],
  ['true { }', '1:1+4 error: true is not the name of a node | a line starts with a name, such as vcpus 2'],
  ['a r"b"', '1:3+2 error: this is a raw string of KDL 1 | write #"…"#, as in KDL 2'],
  ['/- kdl-version 2\na true', '2:3+4 error: true is KDL 1 | write #true, as in KDL 2'],
  ['/- kdl-version 2\na b=false', '2:5+5 error: false is KDL 1 | write #false, as in KDL 2'],
  ['/- kdl-version 2\na r#"b"#', '2:3+1 error: this is a raw string of KDL 1 | leave out the r, as in KDL 2'],
  // Comments
  ['a /* b', '1:3+2 error: this comment is never closed | add a matching */'],
  ['a { /- }', '1:5+2 error: /- comments out nothing | remove it, or put it before a node or a value'],
  ['/-', '1:1+2 error: /- comments out nothing | remove it, or put it before a node or a value'],
  ['a \\ b', String.raw`1:3+1 error: a value with \ in it needs quotes | write "\\"`],
  // Characters
  ['a "b\0"', String.raw`1:5+1 error: the character U+0000 is not allowed in a VMFile | remove it, or write \u{0000} in a string`],
  ['a "b\u202Ec"', String.raw`1:5+1 error: the character U+202E is not allowed in a VMFile | remove it, or write \u{202E} in a string`],
  ['a "b\uD800"', String.raw`1:5+1 error: the character U+D800 is not allowed in a VMFile | remove it, or write \u{D800} in a string`],
  // Columns count characters, lines end as in editors
  ['\uFEFF\r\n\r"😀" 2G', '3:5+2 error: "2G" is not a number | a value with a unit or other letters needs quotes: "2G"'],
  ['\uFEFF2G', '1:1+2 error: "2G" is not a number | a value with a unit or other letters needs quotes: "2G"'],
]

describe('syntax errors', () => {
  let workspace: Workspace
  beforeAll(() => {
    workspace = makeWorkspace()
  })
  afterAll(() => workspace.remove())

  it.each(mistakes)('%j', async (source, expected) => {
    const problems = await workspace.problems(source)
    expect(problems.map(inOneLine)).toEqual([expected])
    expect(problems[0]?.code).toBe('vmctl::vmfile::parse_failed')
  })

  it.each<readonly [string, string, readonly string[]]>([
    [
      'a word and a value',
      'vm "a" {\n  vcpus: 2\n  memory = "2G"\n}',
      [
        '2:3+6 error: unknown node "vcpus:" in vm | write vcpus and its value, without :',
        '3:10+1 error: a node and its value are not joined by = | write memory "2G"',
      ],
    ],
    [
      'values, comments, commas, brackets, quotes and keywords',
      `# mine\nvm "a" {\n  memory 2G // more\n  image ./a.qcow2\n  port '80', '81'\n  qemu { args ["-x"]; }\n}`,
      [
        '1:1+1 error: # does not start a comment | a comment starts with //',
        '3:10+2 error: "2G" is not a number | a value with a unit or other letters needs quotes: "2G"',
        '4:9+9 error: a value with / in it needs quotes | write "./a.qcow2"',
        `5:8+4 error: ' does not start a string | a string stands between double quotes: "80"`,
        '6:15+1 error: KDL has no brackets | write a list as several values on one line: accel "kvm" "tcg"',
      ],
    ],
    [
      'what can be known in spite of them, and nothing that the broken lines may hold',
      'vm "a" {\n  image = "x"\n  memroy 1\n  ssh { usr "a"; }\n}\nvm "b" }',
      ['6:8+1 error: this } closes nothing | remove it, or add the { that it closes'],
    ],
    [
      'what can be known of words',
      'vm "a" {\n  image = "x"\n  memroy 1\n  ssh { usr = 1; usr "b"; }\n}\nvm "b"\n{\n  nonsense\n}\nvm "c" { vcpus "two"; nme "x"; }',
      [
        '2:9+1 error: a node and its value are not joined by = | write image "x"',
        '3:3+6 error: unknown node "memroy" in vm | did you mean "memory"?',
        '4:13+1 error: a node and its value are not joined by = | write usr 1',
        '7:1+1 error: this { belongs to no node | put it on the line of its node: vm "name" {',
        '10:23+3 error: unknown node "nme" in vm | the VMFile reference lists what there can be: docs/reference/vmfile.md',
      ],
    ],
    [
      'before a block that is never closed',
      'vm "a" {\n  memory 2G; vcpus: 2\n  disk = 20\n  ssh {\n    user "x"\n  provision "shell" {\n  }\n}\n',
      [
        '2:10+2 error: "2G" is not a number | a value with a unit or other letters needs quotes: "2G"',
        '3:8+1 error: a node and its value are not joined by = | write disk 20',
        '4:7+1 error: this block is never closed | add a matching }',
      ],
    ],
  ])('are told in one go: %s', async (_title, source, expected) => {
    expect((await workspace.problems(source)).map(inOneLine)).toEqual(expected)
  })

  it.each([
    ['vm "a" {\n  ssh {\n  }\n', '1:8+1'],
    ['vm "a" {\n  ssh {\n', '2:7+1'],
    ['vm "a" {\nvm "b" {\n}\n', '1:8+1'],
    ['vm "a" { ssh {\n}\n', '1:8+1'],
    ['vm "a" {\n\tssh {\n\t\tuser "x"\n\tqemu { }\n}\n', '2:6+1'],
  ])('a block that is never closed is found by indentation: %j', async (source, place) => {
    expect((await workspace.problems(source)).map(inOneLine)).toEqual([`${place} error: this block is never closed | add a matching }`])
  })

  it('are no list of everything in a file that is something else', async () => {
    expect(await workspace.problems("it's 1x\n".repeat(100))).toHaveLength(20)
    expect(await workspace.problems('a = b\n'.repeat(1000))).toHaveLength(20)
    expect(await workspace.problems(`${'a = b\n'.repeat(6)}nonsense\n`)).toHaveLength(6)
  })

  it.each([
    ['{"vms": []}', '1:1+1', 'JSON'],
    ['\n[{"name": "a"}]', '2:1+1', 'JSON'],
    ['\uFEFF<domain type="kvm">', '1:1+1', 'XML'],
    ['# -*- ruby -*-\n\nVagrant.configure("2") do |config|\nend\n', '1:1+1', 'a Vagrantfile'],
    ['---\nvms: {}\n', '1:1+1', 'YAML'],
    ['# mine\nname: shop\nservices:\n  web:\n    image: debian\n', '1:1+1', 'YAML'],
  ])('are one when it is another language: %j', async (source, place, language) => {
    const problems = await workspace.problems(source, {file: 'x.yaml'})
    expect(problems.map(inOneLine)).toEqual([
      `${place} error: this is ${language}, and a VMFile is KDL | \`vmctl import x.yaml --output VMFile.kdl\` makes a VMFile of a holos.yaml, a qemu-compose.yaml, a Vagrantfile or the XML of libvirt; \`vmctl init\` begins one`,
    ])
  })

  it('does not take a slip for another language', async () => {
    expect((await workspace.problems('project: "shop"\nvm "a" {\n  image: "x"\n}\n')).map(inOneLine)).toEqual([
      '1:1+8 error: unknown node "project:" | write project and its value, without :',
      '2:1+2 error: no image specified | add image "path/to/image.qcow2" or image-url "https://…"',
      '3:3+6 error: unknown node "image:" in vm | write image and its value, without :',
    ])
  })

  it('does not take what is KDL for an error', async () => {
    const {vms} = await workspace.parse(
      [
        '\uFEFF/- kdl-version 2\r',
        '// a comment\u2028/* a /* nested */ one */ vm\\ // continued',
        '  "a"{',
        '  image "image.qcow2" /-"unused" /-format="nonsense" /-{ unused }',
        '  /-disk 1',
        '  /-',
        '  disk 2',
        '  vcpus 0x1_0; memory 1_024',
        '  qemu{args "\\u{1F600}\\t" #"\\raw"# ##"a"#b"## "a \\',
        '     b" /* c */ """',
        '    multi',
        '      line "quoted" \\"""',
        '',
        '    """ #"""',
        '    \\n',
        '    """# bare -x --y',
        '  }',
        '}',
      ].join('\n'),
    )
    expect(vms).toMatchObject([{name: 'a', vcpus: 16, memoryMiB: 1024}])
    expect(vms[0]?.qemu?.args).toEqual(['😀\t', '\\raw', 'a"#b', 'a b', 'multi\n  line "quoted" """\n', '\\n', 'bare', '-x', '--y'])
    expect(vms[0]).not.toHaveProperty('diskBytes')
  })

  it('accepts the words of KDL 1 with a warning', async () => {
    const {vms, warnings} = await workspace.parse('vm "a" {\n  image r#"image.qcow2"#\n  firmware "uefi" secure-boot=true\n}')
    expect(vms[0]).toMatchObject({image: {source: workspace.path('image.qcow2')}, firmware: {secureBoot: true}})
    expect(warnings.map(inOneLine)).toEqual([
      '2:9+1 warning: this is a raw string of KDL 1 | leave out the r, as in KDL 2',
      '3:31+4 warning: true is KDL 1 | write #true, as in KDL 2',
    ])
  })
})
