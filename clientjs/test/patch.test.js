import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { clone } from '../src/clone.js'
import { apply, equal, formatPointer, PatchError, parsePointer } from '../src/patch.js'

/** @type {{comment: string, doc: any, patch: any, expected?: any, error?: string, exact?: boolean}[]} */
const cases = JSON.parse(readFileSync(new URL('../../patch/testdata/cases.json', import.meta.url), 'utf8'))

/** @param {any} doc @param {any} patch */
function outcome(doc, patch) {
  const before = JSON.stringify(doc)
  try {
    return { value: apply(doc, patch) }
  } catch (err) {
    if (!(err instanceof PatchError)) throw err
    return { error: err.code }
  } finally {
    expect(JSON.stringify(doc)).toBe(before) // whatever happened, the document is as it was
  }
}

describe('the cases shared with the server', () => {
  // `exact` marks those that need more digits than a JavaScript number has.
  test.each(cases.filter((c) => !c.exact).map((c) => [c.comment, c]))('%s', (_, c) => {
    const got = outcome(c.doc, c.patch)
    if (c.error) expect(got).toEqual({ error: c.error })
    else {
      expect(got.error).toBeUndefined()
      expect(equal(got.value, c.expected)).toBe(true)
    }
  })

  test('the file has the cases of both halves', () => {
    expect(cases.length).toBeGreaterThan(100)
    expect(cases.filter((c) => c.error).length).toBeGreaterThan(20)
  })
})

const json = fc.jsonValue({ maxDepth: 3 })
const pathTo = (/** @type {any} */ doc, /** @type {number[]} */ choices) => {
  const tokens = []
  for (const n of choices) {
    if (doc === null || typeof doc !== 'object') break
    const keys = Object.keys(doc)
    if (keys.length === 0) break
    const key = keys[n % keys.length]
    tokens.push(key)
    doc = doc[key]
  }
  return formatPointer(tokens)
}

describe('properties', () => {
  test('pointers are read as they are written', () => {
    fc.assert(fc.property(fc.array(fc.string()), (tokens) => equal(parsePointer(formatPointer(tokens)), tokens)))
  })

  test('replace puts the value there, and test finds it', () => {
    fc.assert(
      fc.property(json, json, fc.array(fc.nat(9), { maxLength: 3 }), (doc, value, choices) => {
        const path = pathTo(doc, choices)
        const ops = [
          { op: 'replace', path, value },
          { op: 'test', path, value },
        ]
        expect(() => apply(doc, ops)).not.toThrow()
      }),
    )
  })

  test('what an operation does not concern is shared, not copied', () => {
    const doc = { a: { deep: [1] }, b: { deep: [2] } }
    const next = apply(doc, [{ op: 'replace', path: '/b/deep/0', value: 3 }])
    expect(next.a).toBe(doc.a)
    expect(next.b).not.toBe(doc.b)
  })

  test('any operations at all either apply or throw a PatchError, and never touch Object.prototype', () => {
    const token = fc.constantFrom(
      '',
      '/a',
      '/0',
      '/-',
      '/__proto__',
      '/constructor',
      '/prototype',
      '/polluted',
      '/~0',
      '/~2',
      '/01',
    )
    const pointer = fc.array(token, { maxLength: 3 }).map((t) => t.join(''))
    const op = fc.record({
      op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test'),
      path: pointer,
      from: pointer,
      value: json,
    })
    fc.assert(
      fc.property(json, fc.array(op, { maxLength: 5 }), (doc, ops) => {
        outcome(doc, ops)
        expect(/** @type {any} */ ({}).polluted).toBeUndefined()
        expect(Object.keys(Object.prototype)).toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})

describe('keys that are names of the language', () => {
  test('are ordinary members', () => {
    const doc = apply({}, [
      { op: 'add', path: '/__proto__', value: { polluted: true } },
      { op: 'add', path: '/constructor', value: 1 },
    ])
    expect(Object.getPrototypeOf(doc)).toBe(Object.prototype)
    expect(JSON.parse(JSON.stringify(doc))).toEqual(JSON.parse('{"__proto__":{"polluted":true},"constructor":1}'))
    expect(doc.polluted).toBeUndefined()
  })

  test('are not found where nobody put them', () => {
    expect(outcome({}, [{ op: 'test', path: '/constructor', value: 1 }])).toEqual({ error: 'path-missing' })
    expect(outcome({}, [{ op: 'add', path: '/__proto__/polluted', value: 1 }])).toEqual({ error: 'path-missing' })
  })

  test('survive a copy', () => {
    const copy = clone(JSON.parse('{"__proto__":{"polluted":true}}'))
    expect(Object.keys(copy)).toEqual(['__proto__'])
    expect(copy.polluted).toBeUndefined()
  })
})

describe('clone', () => {
  test('freezes what it gives', () => {
    expect(Object.isFrozen(clone({ a: [{}] }).a[0])).toBe(true)
  })

  test('refuses what JSON cannot hold', () => {
    /** @type {any} */
    const circle = {}
    circle.self = circle
    for (const bad of [() => 1, Number.NaN, Number.POSITIVE_INFINITY, 1n, Symbol('s'), circle]) {
      expect(() => clone({ bad })).toThrow(TypeError)
    }
  })

  test('leaves undefined members out', () => {
    expect(clone({ a: undefined, b: [undefined] })).toEqual({ b: [null] })
  })
})
