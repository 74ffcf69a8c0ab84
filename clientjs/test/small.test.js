import { describe, expect, test } from 'vitest'
import { entityHash } from '../src/digest.js'
import { compareStrings, compareValues, matches, parseOrder, sortValues } from '../src/order.js'
import { parseMessages } from '../src/protocol.js'
import { uuidv7 } from '../src/uuid.js'

describe('uuidv7', () => {
  test('has the form, the version and the time', () => {
    const id = uuidv7()
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const time = Number.parseInt(id.replace('-', '').slice(0, 12), 16)
    expect(Math.abs(time - Date.now())).toBeLessThan(60_000)
  })

  test('sorts as made, also within a millisecond and when the clock goes back', () => {
    const ids = []
    let now = Date.now() + 1_000_000
    for (let i = 0; i < 10_000; i++) {
      if (i % 3000 === 0) now -= 5
      ids.push(uuidv7(() => now))
    }
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

test('the hash of an entity is FNV-1a-32 of its id and version', () => {
  // Reference values of FNV-1a-32: "" 811c9dc5, "a" e40c292c, "foobar" bf9cf968; here of "foo:1".
  let h = 0x811c9dc5n
  for (const c of 'foo:1') h = ((h ^ BigInt(c.charCodeAt(0))) * 0x01000193n) % 2n ** 32n
  expect(entityHash('foo', 1)).toBe(Number(h))
})

describe('order', () => {
  test('missing, null, false, true, numbers, strings, the rest', () => {
    const ordered = [undefined, null, false, true, -1, 0, 2, 10, '', '10', '2', 'a', {}]
    const mixed = [...ordered].reverse()
    // Array.prototype.sort puts undefined last whatever one says: box the values.
    const sorted = mixed.map((v) => [v]).sort((a, b) => compareValues(a[0], b[0]))
    expect(sorted.map((b) => b[0])).toEqual(ordered)
  })

  test('strings go by code point, not by UTF-16 unit', () => {
    expect(compareStrings('\u{1F600}', '\uFFFD')).toBeGreaterThan(0)
    expect(compareStrings('\u{1F600}', '\u{1F601}')).toBeLessThan(0)
    expect(compareStrings('a', 'ab')).toBeLessThan(0)
  })

  test('keys may descend, and may point into the edge', () => {
    const order = parseOrder(['-/body/a', 'edge:/body/rank'])
    expect(sortValues(order, { body: { a: 1 } }, { body: { rank: 2 } })).toEqual([1, 2])
    expect(order.map((k) => k.desc)).toEqual([true, false])
  })
})

test.each([
  [{ status: 'open' }, true],
  [{ status: { ne: 'open' } }, false],
  [{ n: { gt: 1, lte: 2 } }, true],
  [{ n: { lt: '3' } }, false],
  [{ n: { in: [1, 2] } }, true],
  [{ status: { prefix: 'op' } }, true],
  [{ gone: { exists: false } }, true],
  [{ '/meta/createdBy': 'ann' }, true],
  [{ '/body/deep/0': 7 }, true],
  [{ or: [{ n: 5 }, { not: { n: 5 } }] }, true],
  [{ and: [{ n: 2 }, { status: 'closed' }] }, false],
])('where %j', (where, want) => {
  const entity = { body: { status: 'open', n: 2, deep: [7] }, meta: { createdBy: 'ann' } }
  expect(matches(where, entity)).toBe(want)
})

test('a message holds one object, which may span lines, or several, one per line', () => {
  expect(parseMessages('{"t":"a"}')).toEqual([{ t: 'a' }])
  expect(parseMessages('{"t":"a"}\n{"t":"b"}\n')).toEqual([{ t: 'a' }, { t: 'b' }])
  expect(parseMessages('{\n"t":"a"\n}')).toEqual([{ t: 'a' }])
  expect(() => parseMessages('nonsense')).toThrow(SyntaxError)
})
