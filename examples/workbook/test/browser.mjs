/** A browser for the tests, and windows in it. */

import { existsSync, mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'

/**
 * A browser: the one that all files share where there is one (see `all.mjs`), else one of its own.
 * @returns {Promise<import('playwright-core').Browser>}
 */
export function startBrowser() {
  const shared = process.env.GRAPHTIDE_TEST_BROWSER
  return shared ? chromium.connect(shared) : launch()
}

/** One of one's own. @param {string[]} [args] more for the program */
export const launch = (args) => chromium.launch(program(args))

/** The browser's program, and how it is started. @param {string[]} [args] more for it */
export function program(args = []) {
  const places = [process.env.GRAPHTIDE_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  const executablePath = places.find((p) => p && existsSync(p))
  if (!executablePath) throw new Error('no Chromium here: install one, or set GRAPHTIDE_CHROMIUM to the program')
  // Playwright gives each launch a fresh folder for the user's data.
  return {
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...args,
    ],
  }
}

/** So long a step may take on a machine that is busy with other things. */
export const PATIENCE = 90_000

/**
 * Somebody's browser: own storage, own connection, one window. Errors of its pages are kept.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openWindow(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  context.setDefaultTimeout(PATIENCE)
  /** @type {string[]} */
  const errors = []
  context.on('weberror', (e) => errors.push(String(e.error())))
  context.on('console', (m) => m.type() === 'error' && errors.push(m.text()))
  const page = await context.newPage()
  await page.goto(url)
  return { page, context, errors }
}

const pictures = new URL('./screenshots/', import.meta.url)

/** @param {import('playwright-core').Page} page @param {string} name */
export function picture(page, name) {
  mkdirSync(pictures, { recursive: true })
  return page.screenshot({ path: new URL(`${name}.png`, pictures).pathname })
}

/** Tests that build on one another: where one fails, those after it are not waited for. */
export function story(test) {
  let broken = ''
  return (name, fn) =>
    test(name, async () => {
      if (broken) throw new Error(`not tried, because this failed: ${broken}`)
      try {
        await fn()
      } catch (err) {
        broken = name
        throw err
      }
    })
}
