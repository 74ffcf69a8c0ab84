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
  /** @type {any[]} */
  const items = []
  /** @type {readonly string[] | null} */
  let ids = null

  const current = () => {
    source.track()
    const now = source.read()
    if (now !== ids) {
      ids = now
      items.length = now.length
      for (let i = 0; i < now.length; i++) items[i] = source.item(now[i])
    }
    return items
  }

  /** @type {Record<string, Function>} */
  const own = {
    push(/** @type {any[]} */ ...objects) {
      if (!source.add) throw refused('push')
      source.add(objects)
      return current().length
    },
    remove(/** @type {any} */ object) {
      if (!source.remove) throw refused('remove')
      source.remove(object)
    },
    toJSON: () => current().map((o) => o.$id),
  }

  return /** @type {any} */ (
    new Proxy(items, {
      get(target, key) {
        if (key === '__v_skip') return true
        if (typeof key === 'string') {
          if (Object.hasOwn(own, key)) return own[key]
          if (MUTATORS.has(key)) throw refused(key)
        }
        const value = Reflect.get(current(), key, target)
        // Array methods work on the plain array behind: read once, not by index.
        return typeof value === 'function' && key !== 'constructor' ? value.bind(target) : value
      },
      has: (_, key) => Reflect.has(current(), key),
      ownKeys: () => Reflect.ownKeys(current()),
      getOwnPropertyDescriptor: (_, key) => Reflect.getOwnPropertyDescriptor(current(), key),
      set: (_, key) => {
        throw refused(`[${String(key)}] =`)
      },
      deleteProperty: () => {
        throw refused('delete')
      },
      defineProperty: () => {
        throw refused('defineProperty')
      },
    })
  )
}

/** @param {string} what */
const refused = (what) =>
  new TypeError(`no ${what} here: link with push, unlink with remove, or copy it first ([...list])`)
