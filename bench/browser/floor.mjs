/**
 * The floor: a websocket that gives everybody the rows it has, and passes on
 * what one writes to all. It keeps nothing, checks nothing and orders nothing.
 */

import { createRequire } from 'node:module'

const { WebSocketServer } = createRequire(new URL('../../clientjs/package.json', import.meta.url))('ws')

export class Floor {
  constructor() {
    /** @type {Map<number, string>} the rows by how many they are, ready to be sent */
    this.rows = new Map()
  }

  async start() {
    this.sockets = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    this.sockets.on('connection', (socket) => {
      socket.on('message', (data) => {
        const message = JSON.parse(data)
        if (message.load) return socket.send(this.rows.get(message.load))
        if (message.report) return this.tell(JSON.stringify({ at: Date.now() }))
        this.tell(data.toString())
      })
    })
    await new Promise((resolve) => this.sockets.once('listening', resolve))
    this.url = `http://127.0.0.1:${this.sockets.address().port}`
    return this
  }

  /** Everybody. @param {string} text */
  tell(text) {
    for (const other of this.sockets.clients) other.send(text)
  }

  /** @param {number} size @param {{objects: Record<string, any>}} loaded the same rows, as the server gives them */
  async keep(size, { objects }) {
    const rows = Object.entries(objects).filter(([, o]) => o.type === 'Record').map(([id, o]) => ({ id, ...o }))
    rows.sort((a, b) => a.body.rank - b.body.rank)
    this.rows.set(size, JSON.stringify({ rows }))
  }

  stop() {
    for (const socket of this.sockets.clients) socket.terminate()
    return new Promise((resolve) => this.sockets.close(resolve))
  }
}
