/**
 * Ten thousand rows in a real browser: only a window of them is loaded, it
 * follows the scroll, in any order, and what others write into it is seen.
 */

import assert from 'node:assert/strict'
import { after, before, test as alone } from 'node:test'
import { accessible } from './accessible.mjs'
import { openWindow, picture, startBrowser, story } from './browser.mjs'
import { Server } from './server.mjs'
import { until } from './until.mjs'
import { button, cell, lines, makeBook, shows } from './workbook.mjs'

const ROWS = 10_000

const test = story(alone)
let server, browser, page, errors, book

before(async () => {
  server = await new Server().start()
  const pad = (n) => String(n).padStart(5, '0')
  book = await makeBook(server, 'Many', ROWS, (n) => ({ name: `Row ${pad(n)}`, notes: pad((n * 7919) % ROWS) }))
  browser = await startBrowser()
  ;({ page, errors } = await openWindow(browser, `${server.url}/#${book}`))
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

/** Drags the scroll bar. @param {number} part of the whole */
const drag = (part) => page.locator('.box').evaluate((el, at) => el.scrollTo(0, at * el.scrollHeight), part)
const first = (index) => cell(page, index, 0).innerText()

/** How many rows this page has in its memory, in views and for the next page: the heap itself is asked. */
async function inMemory() {
  const cdp = await page.context().newCDPSession(page)
  try {
    const { result: prototype } = await cdp.send('Runtime.evaluate', { expression: 'Object.prototype' })
    const { objects } = await cdp.send('Runtime.queryObjects', { prototypeObjectId: prototype.objectId })
    const { result } = await cdp.send('Runtime.callFunctionOn', {
      objectId: objects.objectId, returnByValue: true,
      functionDeclaration: "function () { return this.filter((o) => Object.getOwnPropertyDescriptor(o, 'type')?.value === 'Record' && Object.hasOwn(o, 'body') && Object.hasOwn(o, 'meta')).length }",
    })
    return result.value
  } finally {
    await cdp.detach()
  }
}

/** @param {number} most on the way to a far place there are more for a moment, and windows that were shown are kept for the next page */
const fewInMemory = (most) =>
  until(async () => {
    const count = await inMemory()
    return count > 0 && count <= most
  }, async () => `${await inMemory()} rows are in memory`)

test('a screenful is in the page, and a window in memory', async () => {
  await page.getByText('10,000 rows').waitFor()
  await shows(page, 0, 0, 'Row 00001')
  assert.ok((await lines(page).count()) < 60)
  await fewInMemory(500)
})

test('the window follows the scroll, to the middle, to the end and back', async () => {
  await drag(0.5)
  await shows(page, 5_000, 0, 'Row 05001')
  await page.getByRole('grid').focus()
  await page.keyboard.press('Control+End')
  await shows(page, ROWS - 1, 0, 'Row 10000')
  await page.getByText('10,000 rows', { exact: true }).waitFor() // the end has been seen: no guess any more
  await page.keyboard.press('Control+Home')
  await shows(page, 0, 0, 'Row 00001')
  await fewInMemory(2_000)
})

test('row by row nothing is missed and nothing comes twice, over many windows', async () => {
  const seen = []
  for (let index = 0; index < 900; index += 30) {
    await page.locator('.box').evaluate((el, top) => el.scrollTo(0, top), index * 34)
    await cell(page, index, 0).waitFor()
    seen.push(await first(index))
  }
  assert.deepEqual(seen, seen.map((_, i) => `Row ${String(i * 30 + 1).padStart(5, '0')}`))
})

test('in the order of another column it is walked to any place', async () => {
  await page.getByRole('columnheader', { name: 'Notes' }).hover()
  await button(page, 'Sort by Notes').click()
  await page.getByRole('columnheader', { name: 'Notes' }).and(page.locator('[aria-sort=ascending]')).waitFor()
  await page.locator('.line[aria-rowindex="2"]').getByText('00000').waitFor()
  await drag(0.3)
  await page.locator('.line[aria-rowindex="3002"]').getByText('03000').waitFor()
  await fewInMemory(ROWS - 1)
  await picture(page, 'sorted')
})

test('what another writes into the window is seen in its place', async () => {
  const { objects } = await server.ask('/v1/graphs/main/load', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ root: { type: 'Record', where: { '/body/values/notes': '03001' } } }),
  })
  const [id] = Object.keys(objects)
  await server.commit([{ op: 'replace', path: `/objects/${id}/body/values/notes`, value: '03000b' }])
  await page.locator('.line').getByText('03000b').waitFor()
})

test('a filter asks the server', async () => {
  await page.getByLabel('Filter rows').fill('row 0999')
  await page.getByText('10 rows', { exact: true }).waitFor()
  await accessible(page, 'many rows')
  assert.deepEqual(errors, [])
})
