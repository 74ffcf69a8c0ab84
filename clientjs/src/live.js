/**
 * Live arrays: what a list of ids stands for at the moment of reading. Held on
 * to, one stays current. It reads like an array; adding and removing go through
 * `push` and `remove`, which link and unlink.
 */

import { MUTATORS } from './places.js'

/**
 * @typedef {object} LiveSource
 * @property {() => readonly string[]} read ids; the same array while nothing changed
 * @property {() => void} track says that it is being read
 * @property {(id: string) => any} item the object of an id
 * @property {(objects: any[]) => void} [add]
 * @property {(object: any) => void} [remove]
 */

/**
 * @param {LiveSource} source
 * @returns {any[] & {remove: (object: any) => void}}
 */
export function makeLive(source) {
  /** The elements that were read: of a long list on a small screen, few. @type {any[]} */
  const items = []
  /** @type {readonly string[]} */
  let ids = []

  const sync = () => {
    source.track()
    const now = source.read()
    if (now !== ids) {
      ids = now
      items.length = 0
      items.length = now.length
    }
    return ids
  }
  const item = (/** @type {any} */ i) => (i in ids ? (items[i] ??= source.item(ids[i])) : undefined)
  const current = () => {
    sync().forEach((_, i) => void item(i))
    return items
  }

  /** @type {Record<string, Function>} */
  const own = {
    push(/** @type {any[]} */ ...objects) {
      if (!source.add) refuse('push')
      source.add(objects)
      return sync().length
    },
    remove(/** @type {any} */ object) {
      if (!source.remove) refuse('remove')
      source.remove(object)
    },
    slice: (/** @type {number} */ from, /** @type {number} */ to) =>
      sync()
        .slice(from, to)
        .map((id) => source.item(id)),
    toJSON: () => [...sync()],
  }

  return /** @type {any} */ (
    new Proxy(items, {
      get(target, key) {
        if (key === '__v_skip') return true
        if (typeof key === 'string') {
          if (Object.hasOwn(own, key)) return own[key]
          if (MUTATORS.has(key)) refuse(key)
          if (/^(length|\d+)$/.test(key)) {
            sync()
            return item(key) // the length, too
          }
        }
        const value = /** @type {any} */ (target)[key]
        if (typeof value !== 'function' || key === 'constructor') return value
        // Array methods work on the plain array behind: read once, not by index.
        return value.bind(current())
      },
      has: (_, key) => key in current(),
      ownKeys: () => Reflect.ownKeys(current()),
      getOwnPropertyDescriptor: (_, key) => Reflect.getOwnPropertyDescriptor(current(), key),
      set: (_, key) => refuse(`[${String(key)}] =`),
      deleteProperty: () => refuse('delete'),
      defineProperty: () => refuse('defineProperty'),
    })
  )
}

/** @param {string} what @returns {never} */
function refuse(what) {
  throw new TypeError(`no ${what} here: link with push, unlink with remove, or copy it first ([...list])`)
}
