import fc from 'fast-check'
import {expect, test} from 'vitest'

import {createSwitch, type SwitchPort} from './switch.ts'

const everybody = 'ff:ff:ff:ff:ff:ff'
const address = (number: number): string => `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex')
const frame = (to: string, from: string, body = 'hello'): Buffer => {
  const content = Buffer.concat([bytes(to), bytes(from), Buffer.from([8, 0]), Buffer.from(body)])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  return Buffer.concat([length, content])
}

const makePorts = (count: number, now?: () => number) => {
  const fabric = createSwitch(now)
  const ports = Array.from({length: count}, () => {
    const received: Buffer[] = []
    const port: SwitchPort = {send: (frames) => void received.push(Buffer.from(frames))}
    fabric.connect(port)
    return {
      port,
      pieces: received,
      /** What came since the last look. */
      take: (): string => Buffer.concat(received.splice(0)).toString('hex'),
      say: (...frames: Buffer[]) => fabric.forward(port, Buffer.concat(frames)),
    }
  })
  return {fabric, ports: ports as [(typeof ports)[0], (typeof ports)[0], (typeof ports)[0]]}
}

test('a frame to nobody known goes to all others; one to an address that was seen goes there only', () => {
  const [a, b, c] = makePorts(3).ports
  const hello = frame(address(2), address(1))
  a.say(hello)
  expect([a.take(), b.take(), c.take()]).toEqual(['', hello.toString('hex'), hello.toString('hex')])
  const answer = frame(address(1), address(2))
  b.say(answer)
  expect([a.take(), b.take(), c.take()]).toEqual([answer.toString('hex'), '', ''])
  a.say(hello)
  expect([a.take(), b.take(), c.take()]).toEqual(['', hello.toString('hex'), ''])
})

test('broadcast and multicast go to all others, always; nothing goes back to where it came from', () => {
  const [a, b, c] = makePorts(3).ports
  a.say(frame(everybody, address(1)), frame('33:33:00:00:00:01', address(1)), frame(address(1), address(7)))
  expect(b.take()).toBe(c.take())
  expect(a.take()).toBe('')
  b.say(frame(address(9), everybody))
  expect(a.take()).not.toBe('')
  a.say(frame(everybody, address(1)))
  expect(b.take()).not.toBe('')
})

test('an address moves with its frames, ages, and goes with its port', () => {
  let time = 0
  const {fabric, ports} = makePorts(3, () => time)
  const [a, b, c] = ports
  a.say(frame(everybody, address(1)))
  b.say(frame(everybody, address(1)))
  for (const port of ports) port.take()
  c.say(frame(address(1), address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([true, false])
  time = 301_000
  c.say(frame(address(1), address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([false, false])
  b.say(frame(everybody, address(1)))
  fabric.disconnect(b.port)
  for (const port of ports) port.take()
  c.say(frame(address(1), address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([false, true])
})

test('frames of one read that go the same way are handed on in one piece', () => {
  const [a, b, c] = makePorts(3).ports
  b.say(frame(everybody, address(2)))
  c.say(frame(everybody, address(3)))
  for (const port of [a, b, c]) port.take()
  a.say(
    frame(address(2), address(1), 'x'),
    frame(address(2), address(1), 'y'),
    frame(address(3), address(1)),
    frame(address(2), address(1)),
  )
  expect([b.pieces.length, c.pieces.length]).toEqual([2, 1])
})

test('a part of a frame is left for later; a length that is none is told', () => {
  const {fabric, ports} = makePorts(2)
  const whole = frame(everybody, address(1))
  expect(fabric.forward(ports[0].port, Buffer.concat([whole, whole.subarray(0, 9)]))).toBe(whole.length)
  expect(fabric.forward(ports[0].port, whole.subarray(0, 3))).toBe(0)
  for (const length of [0, 0x7f_ff_ff_ff, 70_000]) {
    const header = Buffer.alloc(4)
    header.writeUInt32BE(length)
    expect(() => fabric.forward(ports[0].port, header), String(length)).toThrow(RangeError)
  }
})

test('a port that invents addresses costs no more than its share, and others keep theirs', () => {
  const {fabric, ports} = makePorts(3)
  const [a, b, c] = ports
  b.say(frame(everybody, address(2)))
  const flood = Array.from({length: 5000}, (_, index) =>
    frame(address(2), `02:00:01:00:${(index >> 8).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}`),
  )
  a.say(...flood)
  for (const port of ports) port.take()
  fabric.forward(c.port, frame('02:00:01:00:00:01', address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([false, true])
  fabric.forward(c.port, frame('02:00:01:00:13:80', address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([false, false])
  fabric.forward(c.port, frame(address(2), address(3)))
  expect([a.take() === '', b.take() === '']).toEqual([true, false])
})

test('however a stream is cut, every frame arrives whole, once and in order', () => {
  const content = fc.array(fc.record({to: fc.integer({min: 1, max: 4}), size: fc.integer({min: 0, max: 300})}), {
    minLength: 1,
    maxLength: 20,
  })
  fc.assert(
    fc.property(content, fc.array(fc.integer({min: 1, max: 400}), {minLength: 1}), (frames, cuts) => {
      const {fabric, ports} = makePorts(3)
      ports[1].say(frame(everybody, address(1)))
      ports[2].say(frame(everybody, address(2)))
      for (const port of ports) port.take()
      const sent = frames.map(({to, size}) => ({to, data: frame(address(to), address(9), 'x'.repeat(size))}))
      const stream = Buffer.concat(sent.map(({data}) => data))
      let rest = Buffer.alloc(0)
      for (let offset = 0, cut = 0; offset < stream.length; cut++) {
        const length = cuts[cut % cuts.length] ?? 1
        const data = Buffer.concat([rest, stream.subarray(offset, offset + length)])
        offset += length
        rest = Buffer.from(data.subarray(fabric.forward(ports[0].port, data)))
      }
      const expected = (number: number): string =>
        Buffer.concat(sent.filter(({to}) => to === number || to > 2).map(({data}) => data)).toString('hex')
      expect(ports[1].take()).toBe(expected(1))
      expect(ports[2].take()).toBe(expected(2))
    }),
  )
})
