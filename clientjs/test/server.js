/** The server itself, for tests that no small server in memory can stand for. */

import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/**
 * Starts `graphtide dev` with data of its own: the program that GRAPHTIDE_BIN names, else from its sources.
 * @param {string} schema as YAML
 * @returns {Promise<{url: string, stop: () => Promise<void>}>}
 */
export async function startServer(schema) {
  const folder = mkdtempSync(join(tmpdir(), 'graphtide-client-'))
  chmodSync(folder, 0o755) // started by root, the server runs Postgres as another user
  writeFileSync(join(folder, 'app.yaml'), schema)
  const bin = process.env.GRAPHTIDE_BIN
  const [program, ...first] = bin ? [bin] : ['go', 'run', './cmd/graphtide']
  const options = ['--listen', '127.0.0.1:0', '--data', join(folder, 'pg'), '--schema', join(folder, 'app.yaml')]
  const child = spawn(program, [...first, 'dev', ...options, '--log-level', 'warn'], {
    cwd: new URL('../..', import.meta.url),
    detached: true, // `go run` passes no signal on: its group gets it
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const stop = async () => {
    if (child.pid && child.exitCode === null) process.kill(-child.pid, 'SIGTERM')
    await gone
    rmSync(folder, { recursive: true, force: true })
  }
  let output = ''
  /** @type {Promise<string>} */
  const found = new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        output += `${line}\n`
        const url = /API\s+(http:\/\/[^/\s]+)/.exec(line)
        if (url) resolve(url[1])
      })
  })
  const url = await Promise.race([found, gone])
  if (typeof url === 'string') return { url, stop }
  await stop()
  throw new Error(`the server ended with ${url}:\n${output}`)
}
