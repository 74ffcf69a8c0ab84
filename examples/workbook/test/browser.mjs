/** A server and a browser for the tests, both of their own. */

import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

/**
 * The server named by GRAPHTIDE_URL, or one of our own from GRAPHTIDE_BIN on a
 * free port and with data of its own.
 * @returns {Promise<{url: string, stop: () => Promise<void>}>}
 */
export async function startServer() {
  if (process.env.GRAPHTIDE_URL) return { url: process.env.GRAPHTIDE_URL, stop: async () => {} }
  const bin = process.env.GRAPHTIDE_BIN
  if (!bin || !existsSync(bin)) throw new Error('set GRAPHTIDE_BIN to the built server (make build), or GRAPHTIDE_URL to a running one')
  const data = mkdtempSync(join(tmpdir(), 'workbook-data-'))
  chmodSync(data, 0o755) // started by root, the server runs Postgres as another user
  const child = spawn(bin, ['dev', '--listen', '127.0.0.1:0', '--data', join(data, 'pg')], {
    cwd: new URL('../../..', import.meta.url),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const url = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk
      const found = /Example\s+(http:\/\/\S+?)\/?\s/.exec(output)
      if (found) resolve(found[1])
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    gone.then((code) => reject(new Error(`the server ended with ${code}:\n${output}`)))
    setTimeout(() => reject(new Error(`the server does not say where it is:\n${output}`)), 60_000).unref()
  })
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await gone
      rmSync(data, { recursive: true, force: true })
    },
  }
}

/** @returns {Promise<import('playwright-core').Browser>} */
export function startBrowser() {
  const places = [process.env.GRAPHTIDE_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  const executablePath = places.find((p) => p && existsSync(p))
  if (!executablePath) throw new Error('no Chromium here: install one, or set GRAPHTIDE_CHROMIUM to the program')
  // Playwright gives each launch a fresh folder for the user's data.
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  })
}

/**
 * A window of its own: own storage, own connection. Errors of the page are kept.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 */
export async function openWindow(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  /** @type {string[]} */
  const errors = []
  page.on('pageerror', (err) => errors.push(String(err)))
  page.on('console', (m) => m.type() === 'error' && errors.push(m.text()))
  await page.goto(url)
  return { page, context, errors }
}
