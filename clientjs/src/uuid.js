/**
 * UUIDs of version 7 (RFC 9562): the time in milliseconds, a counter that keeps
 * those of one millisecond in order, and 62 random bits. Ids made by one page
 * therefore sort as they were made, which is the order of a live array.
 */

let lastTime = 0
let counter = 0

/**
 * @param {() => number} [now]
 * @param {(bytes: Uint8Array<ArrayBuffer>) => void} [fill]
 * @returns {string}
 */
export function uuidv7(now = Date.now, fill = (b) => void crypto.getRandomValues(b)) {
  const bytes = new Uint8Array(10)
  fill(bytes)
  const time = now()
  if (time > lastTime) {
    lastTime = time
    counter = ((bytes[8] & 0x07) << 8) | bytes[9] // the top bit clear: room to count up
  } else if (++counter > 0xfff) {
    lastTime++ // the millisecond is full (or the clock went back): borrow the next one
    counter = 0
  }
  const hex = (/** @type {number} */ n, /** @type {number} */ digits) => n.toString(16).padStart(digits, '0')
  const t = hex(lastTime, 12)
  const r = [...bytes].map((b) => hex(b, 2)).join('')
  return `${t.slice(0, 8)}-${t.slice(8)}-7${hex(counter, 3)}-${'89ab'[bytes[0] & 3]}${r.slice(1, 4)}-${r.slice(4, 16)}`
}
