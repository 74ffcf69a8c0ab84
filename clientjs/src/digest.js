/**
 * The checksum of a view: the sum modulo 2^32 of FNV-1a-32 over `<id>:<version>`
 * of every entity. A sum, so that a view can keep it up to date entity by entity.
 */

/**
 * @param {string} id
 * @param {number} version
 * @returns {number} an unsigned 32-bit integer
 */
export function entityHash(id, version) {
  const text = `${id}:${version}`
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i)
    h = Math.imul(h, 0x01000193)
  }
  return h >>> 0
}
