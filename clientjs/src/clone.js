/** What an app hands over, made plain and immutable. */

import { define } from './patch.js'

/**
 * A deep, frozen copy of a JSON value. Live objects are read through; members
 * that are undefined are left out, as JSON.stringify does; what JSON cannot
 * hold (functions, NaN, cycles) is a TypeError.
 * @param {any} value
 * @param {number} [depth]
 * @returns {any}
 */
export function clone(value, depth = 0) {
  if (depth > 512) throw new TypeError('the value is nested too deeply, or in a circle')
  if (value !== null && typeof value === 'object') {
    if (typeof value.toJSON === 'function') return clone(value.toJSON(), depth + 1)
    if (Array.isArray(value))
      return Object.freeze(Array.from(value, (v) => clone(v === undefined ? null : v, depth + 1)))
    /** @type {Record<string, any>} */
    const out = {}
    for (const key of Object.keys(value)) {
      if (value[key] !== undefined) define(out, key, clone(value[key], depth + 1))
    }
    return Object.freeze(out)
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new TypeError(`${typeof value === 'number' ? value : typeof value} cannot be written as JSON`)
}
