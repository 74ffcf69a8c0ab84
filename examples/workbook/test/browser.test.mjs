/**
 * Two people at one workbook, in a real browser against the real server: what
 * one does, the other sees; a long import shows its progress in both windows;
 * the rule cleans up after a removed column, and both see that too.
 */

import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { openWindow, startBrowser, startServer } from './browser.mjs'

const pictures = new URL('./screenshots/', import.meta.url)
const picture = (page, name) => page.screenshot({ path: new URL(`${name}.png`, pictures).pathname })

let server, browser, ann, bob

before(async () => {
  mkdirSync(pictures, { recursive: true })
  server = await startServer()
  browser = await startBrowser()
  ann = await openWindow(browser, server.url)
  bob = await openWindow(browser, server.url, { colorScheme: 'dark' })
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

const cell = (page, row, column) => page.locator('.line').nth(row).getByRole('gridcell').nth(column)
const rows = (page) => page.locator('.line')
const live = (page) => page.getByText('Live', { exact: true }).waitFor()

/** Types into the cell that is chosen. */
async function type(page, row, column, text) {
  await cell(page, row, column).dblclick()
  await page.keyboard.press('Control+A')
  await page.keyboard.type(text)
  await page.keyboard.press('Enter')
}

test('a workbook that one makes appears at the other', async () => {
  await live(ann.page)
  await live(bob.page)
  await ann.page.getByRole('button', { name: 'Start empty' }).click()
  const title = ann.page.getByLabel('Name of the workbook')
  await title.fill('Together')
  await title.press('Enter')
  await bob.page.getByRole('link', { name: 'Together' }).waitFor()
  await bob.page.getByRole('link', { name: 'Together' }).click()
  await bob.page.getByLabel('Also here').waitFor()
})

test('an edit of one is seen by the other, in both directions', async () => {
  await ann.page.getByRole('button', { name: 'Add row' }).click()
  await ann.page.keyboard.type('from Ann')
  await ann.page.keyboard.press('Enter')
  await rows(bob.page).getByText('from Ann').waitFor()
  // Two columns, the country between them: the second column is the third cell.
  await type(bob.page, 0, 2, 'from Bob')
  await rows(ann.page).getByText('from Bob').waitFor()
  await ann.page.getByText('Live', { exact: true }).waitFor()
})

test('what the schema refuses is rolled back and explained', async () => {
  await type(ann.page, 0, 2, 'x'.repeat(300))
  await ann.page.locator('.note.error').waitFor()
  await ann.page.locator('.cell.refused').waitFor()
  for (const { page } of [ann, bob]) assert.equal(await cell(page, 0, 2).locator('.text').innerText(), 'from Bob')
})

test('undo takes the last change back, for everybody', async () => {
  await type(ann.page, 0, 0, 'a mistake')
  await rows(bob.page).getByText('a mistake').waitFor()
  await ann.page.getByRole('button', { name: 'Undo' }).click()
  await rows(bob.page).getByText('from Ann').waitFor()
})

test('a long import shows its progress and its rows to both', async () => {
  await ann.page.getByRole('button', { name: 'Import', exact: true }).click()
  await ann.page.getByLabel('Region').selectOption('Oceania')
  await ann.page.getByRole('button', { name: 'Import airports' }).click()
  for (const { page } of [ann, bob]) await page.locator('.job.running').first().waitFor({ timeout: 20_000 })
  // The bar moves: seen somewhere between start and end, in the window that did not ask for it.
  await bob.page.waitForFunction(() => {
    const now = Number(document.querySelector('.job .progress')?.getAttribute('aria-valuenow'))
    return now > 0 && now < 100
  })
  await picture(bob.page, 'import')
  for (const { page } of [ann, bob]) await page.locator('.job.succeeded').waitFor({ timeout: 120_000 })
  const result = await bob.page.locator('.job .result').innerText()
  const imported = Number(/^([\d,]+) airports imported/.exec(result)?.[1].replace(',', ''))
  assert.ok(imported > 200, result)
  const counted = `${(imported + 1).toLocaleString('en')} rows`
  for (const { page } of [ann, bob]) await page.getByText(counted).waitFor()
  // Windowed: a screenful of rows is in the page, not all of them.
  assert.ok((await rows(ann.page).count()) < 60)
})

test('scrolling reaches the last row', async () => {
  const box = ann.page.getByRole('grid')
  await box.evaluate((el) => el.scrollTo(0, el.scrollHeight))
  const total = await box.getAttribute('aria-rowcount')
  await ann.page.locator(`.line[aria-rowindex="${total}"]`).waitFor()
  await box.evaluate((el) => el.scrollTo(0, 0))
})

test('a country leads to its borders', async () => {
  await ann.page.getByLabel('Filter rows').fill('papua madang')
  await ann.page.locator('.line .chip').first().click()
  const panel = ann.page.getByRole('complementary', { name: 'Country' })
  await panel.getByRole('button', { name: /Indonesia/ }).click()
  await panel.getByRole('heading', { name: /Indonesia/ }).waitFor()
  await panel.getByRole('button', { name: /Malaysia/ }).waitFor()
  await ann.page.getByLabel('Filter rows').fill('')
  await picture(ann.page, 'country')
})

test('removing a column cleans every row up, and both see it', async () => {
  const { page } = ann
  await page.getByRole('columnheader', { name: 'City' }).hover()
  await page.getByRole('button', { name: 'Remove column City' }).click()
  for (const w of [ann, bob]) await w.page.getByRole('columnheader', { name: 'City' }).waitFor({ state: 'detached' })
  // The rule's work: no row of the graph holds the value any more.
  await page.waitForFunction(async () => {
    const answer = await fetch('/v1/graphs/main/load', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ root: { type: 'Record' } }),
    })
    const rows = Object.values((await answer.json()).objects)
    return rows.length > 200 && rows.every((o) => !('city' in o.body.values))
  })
  await live(page)
  await picture(page, 'ann')
  await picture(bob.page, 'bob')
})

test('a window that was away catches up with what it missed', async () => {
  await bob.context.setOffline(true)
  await type(ann.page, 0, 0, 'while Bob was away')
  await live(ann.page)
  await bob.context.setOffline(false)
  await rows(bob.page).getByText('while Bob was away').waitFor({ timeout: 60_000 })
})

test('no page has complained', () => {
  // A refused change is told on the console too, by nobody but the browser's network log.
  const real = (errors) => errors.filter((e) => !/ERR_INTERNET_DISCONNECTED/.test(e))
  assert.deepEqual(real(ann.errors), [])
  assert.deepEqual(real(bob.errors), [])
})
