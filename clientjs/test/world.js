/** A simulated world with a server and clients, and the schema of the examples. */

import { Client } from '../src/client.js'
import * as operations from '../src/operations.js'
import * as parts from '../src/parts.js'
import * as presence from '../src/presence.js'
import * as undo from '../src/undo.js'
import { FakeServer } from './fake-server.js'
import { fakeWebSocket, Sim } from './sim.js'

export const schema = {
  version: 1,
  types: {
    Entity: { parent: 'Object', abstract: true, properties: { name: { type: 'string' } } },
    User: { parent: 'Entity', properties: { givenName: {} }, edges: { in: { creator: { from: 'DataStore' } } } },
    DataStore: {
      parent: 'Entity',
      properties: { tags: {}, columns: {} },
      edges: {
        out: { creator: { to: 'User', max: 1 }, editors: { to: 'User' } },
        in: { dataStore: { from: 'Record', as: 'records' }, schemaOf: { from: 'Schema', max: 1, as: 'schema' } },
      },
      methods: { rename: { patch: [{ op: 'replace', path: '/body/name', value: { $param: 'name' } }] } },
    },
    Schema: { parent: 'Entity', edges: { out: { schemaOf: { to: 'DataStore', max: 1 } } } },
    Record: { properties: { values: {}, rank: {} }, edges: { out: { dataStore: { to: 'DataStore', max: 1 } } } },
    OperationRequest: { properties: {}, edges: { out: { target: { to: 'Object', max: 1 } } } },
  },
}

/**
 * @param {{seed?: number, turn?: (fn: () => void) => void, server?: any, delay?: () => number, refuse?: () => boolean, twice?: () => boolean, token?: any, classes?: any}} [options]
 */
export function world(options = {}) {
  const sim = new Sim(options.seed ?? 1, options.turn)
  const server = new FakeServer(sim, { schema, ...options.server })
  /** @type {any[]} */
  const sockets = []
  const { delay, refuse, twice } = options
  const WebSocket = fakeWebSocket({ sim, server, delay, refuse, twice }, (socket) => sockets.push(socket))
  const make = (/** @type {any} */ more = {}) =>
    new Client({
      url: 'http://fake',
      graph: 'main',
      token: options.token,
      classes: options.classes,
      fetch: /** @type {any} */ (server.fetch),
      WebSocket,
      clock: sim.clock,
      random: sim.random,
      modules: { parts, presence, operations, undo },
      ...more,
    })
  return {
    sim,
    server,
    sockets,
    make,
    /** A client that is connected. @param {any} [more] */
    async connect(more) {
      return sim.wait(make(more).start(20_000))
    },
    /** Puts entities there. @param {any[]} patch */
    seed: (patch) => server.commit(patch, 'seed', crypto.randomUUID()).version,
  }
}

/** @param {number} n @returns {string} */
export const id = (n) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`

/** @param {string} objectId @param {string} type @param {any} [body] */
export const addObject = (objectId, type, body = {}) => ({
  op: 'add',
  path: `/objects/${objectId}`,
  value: { type, body },
})

/** @param {string} edgeId @param {string} label @param {string} from @param {string} to */
export const addEdge = (edgeId, label, from, to) => ({
  op: 'add',
  path: `/edges/${edgeId}`,
  value: { label, from, to },
})
