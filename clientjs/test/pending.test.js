import { describe, expect, test } from 'vitest'
import { compileGraphOp, Mutation } from '../src/mutation.js'
import { Pending } from '../src/pending.js'
import { id } from './world.js'

/** @param {number} seq @param {number} object */
function mutation(seq, object = seq) {
  const m = new Mutation(`m${seq}`, seq)
  const op = /** @type {const} */ ({ op: 'replace', path: `/objects/${id(object)}/body/n`, value: 1 })
  m.push([compileGraphOp(op)], [op], () => undefined)
  return m
}

/** @param {import('../src/mutation.js').Mutation[]} list */
const ids = (list) => list.map((m) => m.id)

describe('pending', () => {
  test('sends in order, and no more than the window at a time', () => {
    const p = new Pending({ window: 2 })
    for (const n of [1, 2, 3]) p.add(mutation(n))
    expect(ids(p.take())).toEqual(['m1', 'm2'])
    expect(p.take()).toEqual([])
    p.settle('m1')
    expect(ids(p.take())).toEqual(['m3'])
    expect(ids(p.all())).toEqual(['m2', 'm3'])
  })

  test('what is put off goes back to its place, before what came later', () => {
    const p = new Pending()
    for (const n of [1, 2]) p.add(mutation(n))
    p.take()
    p.add(mutation(3))
    expect(p.postpone('m2')).toBe(true)
    expect(p.postpone('m1')).toBe(true)
    expect(p.postpone('m1')).toBe(false)
    expect(ids(p.take())).toEqual(['m1', 'm2', 'm3'])
  })

  test('a refusal may be due to an earlier one that was put off, if they share an entity', () => {
    const p = new Pending()
    for (const m of [mutation(1, 7), mutation(2, 8), mutation(3, 7)]) p.add(m)
    p.take()
    p.postpone('m1')
    expect([p.dependsOnPostponed('m2'), p.dependsOnPostponed('m3')]).toEqual([false, true])
  })

  test('after a cut the server is asked about what was in flight, and the rest is sent again in order', () => {
    const p = new Pending()
    for (const n of [1, 2, 3]) p.add(mutation(n))
    p.take()
    p.add(mutation(4))
    p.disconnect()
    expect(p.ids()).toEqual(['m1', 'm2', 'm3'])
    p.welcome({ m2: 9 })
    expect(ids(p.take())).toEqual(['m1', 'm3', 'm4'])
    expect(ids(p.all())).toEqual(['m1', 'm2', 'm3', 'm4'])
    expect(p.absorb()).toMatchObject([{ mutation: { id: 'm2' }, version: 9 }])
    expect(ids(p.all())).toEqual(['m1', 'm3', 'm4'])
  })

  test('settling what nobody waits for is nothing', () => {
    expect(new Pending().settle('m1')).toBeUndefined()
  })
})
