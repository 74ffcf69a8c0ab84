/**
 * What objects can do besides holding their properties, and edges that are
 * looked at by themselves. Each member is made when it is read.
 */

import { Place } from './places.js'
import { FACTS, idOf, refuse, TARGET } from './proxy.js'

/** @typedef {import('./proxy.js').Objects} Objects */
/** @typedef {import('./schema.js').EdgeName} EdgeName */

/** The edge of a property's name, or of a label. @param {Objects} objects @param {string} ref @param {string} name @returns {EdgeName} */
const named = (objects, ref, name) => objects.edgeName(ref, name) ?? { label: name, dir: '>', many: true }

/** @param {string} ref */
const idIn = (ref) => ref.slice(ref.indexOf('/') + 1)

/** Of objects and edges. @type {Record<string, (objects: Objects, ref: string) => any>} */
export const common = {
  $delete: (objects, ref) => () => objects.context.edit().remove(ref),
  $history: (objects, ref) => () => objects.context.history(ref),
}

/** Of objects. @type {Record<string, (objects: Objects, ref: string) => any>} */
export const members = {
  ...common,
  $edge: (objects, ref) => (/** @type {string} */ name, /** @type {any} */ other) => edgeTo(objects, ref, name, other),
  $out: (objects, ref) => (/** @type {string} */ label) => objects.list(idIn(ref), { label, dir: '>', many: true }),
  $in: (objects, ref) => (/** @type {string} */ label) => objects.list(idIn(ref), { label, dir: '<', many: true }),
  $link: (objects, ref) => (/** @type {string} */ name, /** @type {any} */ other, /** @type {any} */ body) =>
    objects.context.edit().link(idIn(ref), named(objects, ref, name), [other], body),
  $unlink: (objects, ref) => (/** @type {string} */ name, /** @type {any} */ other) =>
    objects.context.edit().unlink(idIn(ref), named(objects, ref, name), [other]),
  $loaded: (objects, ref) => (/** @type {string} */ name) => objects.loaded(idIn(ref), named(objects, ref, name)),
  $can: (objects, ref) => (/** @type {string} */ right) =>
    objects.tracked(ref, '$can', () => objects.context.rights(idIn(ref)))?.has(right) ?? false,
  $presence: (objects, ref) => objects.tracked(ref, '$presence', () => objects.context.presence(idIn(ref))),
}

/** @param {Objects} objects @param {string} ref @param {string} name a label or an `as` name @param {any} other */
function edgeTo(objects, ref, name, other) {
  const { store } = objects.context
  const id = idIn(ref)
  const known = objects.edgeName(ref, name)
  for (const dir of /** @type {const} */ (['>', '<'])) {
    const label = known?.label ?? name
    if (known && known.dir !== dir) continue
    objects.tracked(ref, `$edge${dir}${label}`, () => store.edgesOf(id, dir, label).join())
    const edge = other === undefined ? store.edgesOf(id, dir, label)[0] : store.edgeBetween(id, dir, label, idOf(other))
    if (edge) return objects.edge(edge)
  }
  return undefined
}

/** The live object of an edge. @param {Objects} objects @param {string} ref */
export function liveEdge(objects, ref) {
  const { context } = objects
  const body = new Place(context, ref, ['body'])
  const end = (/** @type {'from'|'to'} */ side) => () => {
    const other = context.store.shown.get(ref)?.[side]
    return other === undefined ? undefined : objects.object(other)
  }
  /** @type {Record<string, () => any>} */
  const own = {
    $label: () => context.store.shown.get(ref)?.label,
    $from: end('from'),
    $to: end('to'),
  }
  for (const key of Object.keys(FACTS)) own[key] = () => objects.fact(ref, key)
  for (const key of Object.keys(common)) own[key] = () => common[key](objects, ref)
  return new Proxy(Object.create(null), {
    get: (_, key) => {
      if (key === TARGET) return ref
      if (typeof key === 'symbol') return undefined
      if (key.startsWith('__v_')) return key === '__v_skip'
      if (key === 'toJSON') return () => ({ $id: idIn(ref), $label: own.$label(), ...body.entries() })
      return Object.hasOwn(own, key) ? own[key]() : body.get(key)
    },
    set: (_, key, value) => {
      if (typeof key === 'symbol' || key[0] === '$') refuse(key)
      return body.set(key, value)
    },
    deleteProperty: (_, key) => body.delete(key),
    has: (_, key) => typeof key === 'string' && (Object.hasOwn(own, key) || body.has(key)),
    ownKeys: () => body.keys(),
    getOwnPropertyDescriptor: (_, key) => body.descriptor(key),
  })
}
