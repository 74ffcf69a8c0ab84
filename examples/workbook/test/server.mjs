/** A server for the tests: of their own, on a free port, with data of its own. */

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const SECRET = 'only for the tests of the workbook, which are on this machine'

export class Server {
  /** @param {string[]} args of `graphtide dev` */
  constructor(args = []) {
    this.bin = process.env.GRAPHTIDE_BIN
    if (!this.bin || !existsSync(this.bin)) throw new Error('set GRAPHTIDE_BIN to the built server (make build)')
    this.args = args
    this.folder = mkdtempSync(join(tmpdir(), 'workbook-data-'))
    chmodSync(this.folder, 0o755) // started by root, the server runs Postgres as another user
    this.listen = '127.0.0.1:0'
    this.child = null
    this.gone = Promise.resolve()
    this.url = ''
  }

  /** Starts it; after a kill on the same port, with the same data. */
  async start() {
    const child = spawn(this.bin, ['dev', '--listen', this.listen, '--data', join(this.folder, 'pg'), '--log-level', 'warn', ...this.args], {
      cwd: new URL('../../..', import.meta.url),
      env: { ...process.env, GRAPHTIDE_JWT_SECRET: SECRET },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child = child
    this.gone = new Promise((resolve) => child.once('exit', resolve))
    let output = ''
    this.url = await new Promise((resolve, reject) => {
      const read = (chunk) => {
        output += chunk
        const found = /API\s+(http:\/\/[^/\s]+)/.exec(output)
        if (found) resolve(found[1])
      }
      child.stdout.on('data', read)
      child.stderr.on('data', read)
      this.gone.then((code) => reject(new Error(`the server ended with ${code}:\n${output}`)))
      setTimeout(() => reject(new Error(`the server does not say where it is:\n${output}`)), 120_000).unref()
    })
    this.listen = new URL(this.url).host
    return this
  }

  /** As a power cut would end it. */
  async kill() {
    this.child.kill('SIGKILL')
    await this.gone
  }

  async stop() {
    this.child?.kill('SIGTERM')
    await this.gone
    rmSync(this.folder, { recursive: true, force: true })
  }

  /** A request to the API, as the admin of `dev`. @param {string} path @param {RequestInit} [init] */
  async ask(path, init) {
    const answer = await fetch(this.url + path, init)
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
    return /json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : text
  }

  /** Commits a patch over the graph. @param {object[]} patch */
  commit(patch) {
    return this.ask('/v1/graphs/main', { method: 'PATCH', headers: { 'content-type': 'application/json-patch+json' }, body: JSON.stringify(patch) })
  }

  /** The commits whose patch holds a text. @param {string} text */
  async commitsWith(text) {
    const { commits } = await this.ask('/v1/graphs/main/log?since=0&limit=1000')
    return commits.filter((c) => JSON.stringify(c).includes(text))
  }
}

/** A token as an issuer would give it. @param {string} user @param {number} seconds until it expires */
export function token(user, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, admin: true, graphs: ['main'], iat: now, exp: now + seconds })}`
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`
}
