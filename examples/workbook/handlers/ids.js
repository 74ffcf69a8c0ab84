/**
 * An id that is the same whenever the same name is given: a handler that is run
 * again after a crash then makes the same objects. UUID version 8 (RFC 9562),
 * from four FNV-1a sums of the name.
 */
export const idFor = (name) => finish(mix(SEEDS, name))

/** idFor for many names that begin alike: what they share is looked at once. */
export function idsFor(prefix) {
  const start = mix(SEEDS, prefix)
  return (name) => finish(mix(start, name))
}

const SEEDS = [0x811c9dc5, 0x9e3779b9, 0x85ebca6b, 0xc2b2ae35]

function mix([a, b, c, d], text) {
  for (let i = 0; i < text.length; i++) {
    const k = text.charCodeAt(i)
    a = step(a ^ k)
    b = step(b ^ k)
    c = step(c ^ k)
    d = step(d ^ k)
  }
  return [a, b, c, d]
}

function step(h) {
  h = Math.imul(h, 0x01000193)
  return h ^ (h >>> 15)
}

function finish(words) {
  const [a, b, c, d] = words.map((h) => {
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    return ((h ^ (h >>> 16)) >>> 0).toString(16).padStart(8, '0')
  })
  const variant = '89ab'[parseInt(c[0], 16) & 3]
  return `${a}-${b.slice(0, 4)}-8${b.slice(5)}-${variant}${c.slice(1, 4)}-${c.slice(4)}${d}`
}

/** The list in parts of at most n. */
export function chunks(list, n) {
  const out = []
  for (let i = 0; i < list.length; i += n) out.push(list.slice(i, i + n))
  return out
}
