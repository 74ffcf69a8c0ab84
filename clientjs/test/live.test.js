import { describe, expect, test } from 'vitest'
import { makeLive } from '../src/live.js'

/** A live array of ids, and which of its elements were made. @param {number} count */
function long(count) {
  /** @type {string[]} */
  const made = []
  const source = { ids: Array.from({ length: count }, (_, i) => `id ${i}`) }
  const list = makeLive({
    read: () => source.ids,
    track: () => {},
    item: (id) => {
      made.push(id)
      return { $id: id }
    },
  })
  return { list, made, source }
}

describe('of a long list only those elements are made that are read', () => {
  test('none for its length, its ids, a place that it does not have, or where it is awaited', async () => {
    const { list, made } = long(5)
    expect([list.length, list[5], list[-1]]).toEqual([5, undefined, undefined])
    expect(JSON.stringify(list)).toBe('["id 0","id 1","id 2","id 3","id 4"]')
    expect(await list).toBe(list)
    expect(made).toEqual([])
  })

  test('one for an index, the same one again, and those of a slice', () => {
    const { list, made } = long(5)
    expect(list[3]).toBe(list[3])
    expect(made).toEqual(['id 3'])
    expect(list.slice(1, 3).map((o) => o.$id)).toEqual(['id 1', 'id 2'])
    expect(list.slice(-1).map((o) => o.$id)).toEqual(['id 4'])
    expect(made).toEqual(['id 3', 'id 1', 'id 2', 'id 4'])
  })

  test('after a change, none that was there before it', () => {
    const { list, source } = long(5)
    expect(list[0].$id).toBe('id 0')
    source.ids = ['id 7', 'id 8']
    expect([list.length, list[0].$id, list[2]]).toEqual([2, 'id 7', undefined])
    expect(list.map((o) => o.$id)).toEqual(['id 7', 'id 8'])
    expect(Object.keys(list)).toEqual(['0', '1'])
  })
})
