/**
 * Long-running jobs. Asking for one creates an `OperationRequest` object; its
 * body tells how far it has come, and everybody who may see it sees that live.
 */

import { observe } from './cells.js'
import { Problem } from './protocol.js'
import { uuidv7 } from './uuid.js'

const TERMINAL = new Set(['succeeded', 'failed', 'cancelled', 'timed-out'])

/**
 * Asks for a job.
 * @param {import('./client.js').Client} db
 * @param {string} name
 * @param {any} params
 * @param {any} [target]
 * @returns {Promise<Operation>} once it is accepted; rejects with the problem
 */
export async function start(db, name, params, target) {
  const id = uuidv7()
  await db.transact(
    () => {
      const request = db.create('OperationRequest', { operation: name, params }, { id })
      if (target) request.$link('target', target)
    },
    { undoable: false },
  )
  const view = db.subscribe({ root: id })
  await view.ready
  const op = new Operation(db.objects.object(id), view)
  const stop = db.on('status', () => {
    const { state } = db.connection
    if (state.name === 'closed' && state.reason) op.fail(state.reason)
  })
  op.result.then(stop, stop)
  return op
}

export class Operation {
  /**
   * @param {any} object the OperationRequest
   * @param {{close: () => void}} view keeps it loaded until it has ended
   */
  constructor(object, view) {
    this.object = object
    this.view = view
    /** What it ended as. @type {any} */
    this.final = null
    /** It will never be known what becomes of it. @type {(problem: Problem) => void} */
    this.fail = () => {}
    /** The `result`; rejects with the problem when the job failed, was cancelled or ran out of time. @type {Promise<any>} */
    this.result = new Promise((resolve, reject) => {
      this.fail = reject
      this.#follow(resolve, reject)
    })
    this.result.catch(() => {})
  }

  get $id() {
    return this.object.$id
  }

  /** The body, live until it has ended: operation, params, status, progress, state, result, error, warnings. */
  get body() {
    return TERMINAL.has(this.object.state) || !this.final ? this.object : this.final
  }

  /** Whether it has ended. */
  get done() {
    return this.final !== null || TERMINAL.has(this.object.state)
  }

  /** Asks it to stop. */
  cancel() {
    this.object.cancel = true
  }

  /** Lets go of it; it runs on. */
  close() {
    this.view.close()
  }

  /** @param {(result: any) => void} resolve @param {(problem: Problem) => void} reject */
  #follow(resolve, reject) {
    const look = () => {
      const seen = observe(
        () => ({ exists: this.object.$exists, body: plain(this.object) }),
        () => {
          seen.stop()
          look()
        },
      )
      const { exists, body } = seen.value
      if (exists && !TERMINAL.has(body.state)) return
      seen.stop()
      this.final = body
      this.view.close()
      if (body.state === 'succeeded') resolve(body.result)
      else if (exists)
        reject(new Problem(body.error ?? { code: body.state, detail: `the operation ended as ${body.state}` }))
      else reject(new Problem({ code: 'not-found', detail: 'the operation is gone' }))
    }
    look()
  }
}

/** A copy of what stands there now: it outlives the object. @param {any} value */
const plain = (value) => JSON.parse(JSON.stringify(value))
