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
  const bytes = new Uint8Array(16)
  fill(bytes)
  const time = now()
  if (time > lastTime) {
    lastTime = time
    counter = ((bytes[6] & 0x07) << 8) | bytes[7] // the top bit clear: room to count up
  } else if (++counter > 0xfff) {
    lastTime++ // the millisecond is full (or the clock went back): borrow the next one
    counter = 0
  }
  let t = lastTime
  for (let i = 5; i >= 0; i--) {
    bytes[i] = t % 256
    t = Math.floor(t / 256)
  }
  bytes[6] = 0x70 | (counter >> 8)
  bytes[7] = counter & 0xff
  bytes[8] = 0x80 | (bytes[8] & 0x3f)
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
