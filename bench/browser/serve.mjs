/** Opens a page of the benchmark, with Graphtide's own modules as they are in the repository. */

import { readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)
const types = { js: 'text/javascript', html: 'text/html' }
const html = '<!doctype html><title>bench</title><ol></ol><script type="module" src="/bench/browser/page.js"></script>'

/**
 * @param {import('playwright-core').Browser} browser
 * @param {string} url of the server: the page is of its origin
 * @param {object} source what the page shows, and from where
 * @returns {Promise<import('playwright-core').Page>} once it is connected
 */
export async function serve(browser, url, source) {
  const context = await browser.newContext()
  context.setDefaultTimeout(120_000)
  await context.route(/\/(bench\/browser|clientjs\/src)\//, (route) => {
    const path = new URL(route.request().url()).pathname.slice(1)
    const body = path.endsWith('.html') ? html : readFileSync(new URL(path, root), 'utf8')
    return route.fulfill({ body, contentType: types[path.split('.').at(-1)] })
  })
  const page = await context.newPage()
  page.on('pageerror', (err) => console.error(String(err)))
  await page.addInitScript((s) => (window.source = s), source)
  await page.goto(`${url}/bench/browser/page.html`)
  await page.waitForFunction(() => window.bench)
  return page
}
