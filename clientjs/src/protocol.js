/**
 * The shapes that travel over the socket (subprotocol `graphtide.v1`).
 */

/** @typedef {import('./patch.js').PatchOp} PatchOp */

/**
 * @typedef {object} Meta
 * @property {number} version of the last commit that touched the entity; 0 until the server has it
 * @property {number} [createdVersion]
 * @property {string} [createdAt]
 * @property {string} [createdBy]
 * @property {string} [updatedAt]
 * @property {string} [updatedBy]
 */

/**
 * An object (type) or an edge (label, from, to).
 * @typedef {object} Entity
 * @property {string} [type]
 * @property {string} [label]
 * @property {string} [from]
 * @property {string} [to]
 * @property {any} body
 * @property {Meta} meta
 * @property {boolean} [guess] made here, of what was committed: whatever the server sends is newer
 */

/**
 * One entity's line in a delta: changed, entered or left.
 * @typedef {{version: number, was: number, patch: PatchOp[], meta: Meta}
 *   | {enter: Entity} | {leave: 'deleted'|'unlinked'|'forbidden'}} Change
 */

/**
 * @typedef {object} Frame a load or a delta
 * @property {'load'|'delta'} t
 * @property {string} [sub]
 * @property {string} view
 * @property {string} [key]
 * @property {number} version
 * @property {string[]} [mutations]
 * @property {Record<string, any>} [objects]
 * @property {Record<string, any>} [edges]
 * @property {string[]} [roots]
 * @property {boolean} [reset]
 * @property {boolean} [done]
 * @property {number} [digest]
 * @property {number} [total]
 */

/**
 * @typedef {object} Welcome
 * @property {string} graph
 * @property {string} epoch
 * @property {number} version
 * @property {{id: string, teams?: string[], org?: string, admin?: boolean}} user
 * @property {number} schema
 * @property {Record<string, number>} limits
 * @property {Record<string, number>} [applied]
 * @property {string} [expiresAt]
 */

/** @typedef {{code: string, title?: string, status?: number, detail?: string, path?: string, op?: number, retryAfterMs?: number, [more: string]: any}} ProblemDocument */

/**
 * A refusal: the server's problem document (RFC 9457) as an Error, with all of
 * its members (`code`, `detail`, `path`, `op`, …).
 */
export class Problem extends Error {
  /** @param {ProblemDocument} document */
  constructor(document) {
    super(document.detail || document.title || document.code)
    this.name = 'Problem'
    /** @type {string} */
    this.code = document.code
    /** @type {number | undefined} */
    this.status = document.status
    /** @type {string | undefined} */
    this.path = document.path
    /** @type {number | undefined} index of the operation at fault */
    this.op = document.op
    /** The whole document, with what its code adds (`errors`, `limit`, `right`, …). */
    this.problem = document
  }

  /** Whether the same transaction may succeed later as it is. */
  get transient() {
    return this.code === 'rate-limited' || this.code === 'unavailable'
  }
}

/**
 * Splits a message: one JSON object, or several, one per line. The text of an
 * object that spans lines is accepted too.
 * @param {string} text
 * @returns {any[]}
 */
export function parseMessages(text) {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  try {
    return lines.map((line) => JSON.parse(line))
  } catch {
    return [JSON.parse(text)]
  }
}
