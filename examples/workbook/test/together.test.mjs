/**
 * Two people at one workbook, in a real browser against the real server: what
 * one does, the other sees, and what cannot be done is told well.
 */

import assert from 'node:assert/strict'
import { after, before, test as alone } from 'node:test'
import { accessible, reachable } from './accessible.mjs'
import { openWindow, picture, startBrowser, story } from './browser.mjs'
import { Server } from './server.mjs'
import { button, cell, lines, live, shows, type } from './workbook.mjs'

const test = story(alone)
let server, browser, ann, bob

before(async () => {
  server = await new Server().start()
  browser = await startBrowser()
  ann = await openWindow(browser, server.url)
  bob = await openWindow(browser, server.url, { colorScheme: 'dark' })
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

test('a workbook that one makes appears at the other', async () => {
  await live(ann.page)
  await live(bob.page)
  await accessible(ann.page, 'the first page')
  await button(ann.page, 'Start empty').click()
  const title = ann.page.getByLabel('Name of the workbook')
  await title.fill('Together')
  await title.press('Enter')
  await bob.page.getByRole('link', { name: 'Together' }).click()
  await bob.page.getByLabel('Also here').waitFor()
})

test('an edit of one is seen by the other, in both directions', async () => {
  for (const name of ['first', 'second']) {
    await button(ann.page, 'Add row').click()
    await ann.page.keyboard.type(name)
    await ann.page.keyboard.press('Enter')
    await lines(bob.page).getByText(name).waitFor()
  }
  await type(bob.page, 0, 2, 'from Bob')
  await shows(ann.page, 0, 2, 'from Bob')
  await live(ann.page)
})

test('a refused edit says what, why, what is there now, and can be mended at once', async () => {
  const { page } = ann
  await type(page, 0, 2, 'x'.repeat(300))
  const card = page.getByRole('alert')
  await card.getByText('Notes of “first” was not saved').waitFor()
  assert.match(await card.innerText(), /200/)
  await card.getByText('from Bob').waitFor()
  await shows(page, 0, 2, 'from Bob')
  await picture(page, 'refused')
  await accessible(page, 'a refused edit')
  await card.getByLabel('What you wrote').fill('mended')
  await button(page, 'Save this').click()
  await shows(bob.page, 0, 2, 'mended')
  assert.equal(await card.count(), 0)
})

test('a comment shows who reads it, who writes, and who has read it', async () => {
  await cell(ann.page, 0, 0).click()
  await ann.page.keyboard.press('Shift+Enter')
  await ann.page.getByLabel('Your comment').and(ann.page.locator(':focus')).waitFor()
  await ann.page.keyboard.type('Is this right?')
  await ann.page.keyboard.press('Enter')
  const open = bob.page.getByRole('button', { name: /^Comments on row 1/ })
  await bob.page.getByRole('button', { name: /^Comments on row 1, \w+ here/ }).waitFor() // presence on the row
  await open.click()
  await ann.page.getByLabel('Looking at this row').waitFor()
  await ann.page.getByText(/Read by \w+/).waitFor()
  await bob.page.getByLabel('Your comment').fill('Yes.')
  await ann.page.getByText('is writing…').waitFor()
  await bob.page.keyboard.press('Enter')
  await bob.page.getByText(/Read by \w+/).waitFor()
  await picture(bob.page, 'comments')
  for (const { page } of [ann, bob]) await accessible(page, 'a row with comments')
  // A receipt is an edge of its own, with the time.
  const { edges } = await server.ask('/v1/graphs/main/load', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ root: { type: 'Comment' }, out: { readBy: {} } }),
  })
  const receipts = Object.values(edges).filter((e) => e.label === 'readBy')
  assert.equal(receipts.length, 2)
  for (const { page } of [ann, bob]) await page.keyboard.press('Escape')
  await ann.page.getByLabel('Your comment').waitFor({ state: 'detached' })
  await ann.page.getByRole('grid').and(ann.page.locator(':focus')).waitFor() // back where one came from
})

test('rows are sorted by keyboard', async () => {
  const { page } = ann
  await button(page, 'Sort by Notes').focus()
  for (const order of ['ascending', 'descending', 'none']) {
    await page.keyboard.press('Enter')
    await page.getByRole('columnheader', { name: 'Notes' }).and(page.locator(`[aria-sort=${order}]`)).waitFor()
  }
})

test('undo takes the last change back and redo brings it again, for everybody', async () => {
  await type(ann.page, 0, 0, 'a mistake')
  await shows(bob.page, 0, 0, 'a mistake')
  await ann.page.keyboard.press('Control+z')
  await shows(bob.page, 0, 0, 'first')
  await ann.page.keyboard.press('Control+Shift+z')
  await shows(bob.page, 0, 0, 'a mistake')
  await ann.page.keyboard.press('Control+z')
  await shows(bob.page, 0, 0, 'first')
})

test('an undo that would trample on another’s change shows the conflict instead', async () => {
  await type(ann.page, 1, 0, 'by Ann')
  await shows(bob.page, 1, 0, 'by Ann')
  await type(bob.page, 1, 0, 'by Bob')
  await shows(ann.page, 1, 0, 'by Bob')
  await button(ann.page, 'Undo').click()
  const dialog = ann.page.getByRole('dialog')
  await dialog.getByText('is now by Bob').waitFor()
  await picture(ann.page, 'conflict')
  await accessible(ann.page, 'the dialog of a conflict')
  await ann.page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  for (const { page } of [ann, bob]) await shows(page, 1, 0, 'by Bob')
})

test('a long import shows its progress to both, and either can stop it', async () => {
  await button(ann.page, 'Import').click()
  await ann.page.getByLabel('Region').selectOption('World')
  await button(ann.page, 'Import airports').click()
  // The bar moves in the window that did not ask for it, and the button there stops it.
  await bob.page.waitForFunction(() => Number(document.querySelector('.job [role=progressbar]')?.getAttribute('aria-valuenow')) > 0)
  await button(bob.page, 'Stop').click()
  for (const { page } of [ann, bob]) await page.locator('.job.cancelled').waitFor()
})

test('an import that ends fills the workbook for both', async () => {
  await ann.page.getByLabel('Region').selectOption('Oceania')
  await button(ann.page, 'Import airports').click()
  await bob.page.locator('.job.running, .job.succeeded').first().waitFor()
  await picture(bob.page, 'import')
  for (const { page } of [ann, bob]) await page.locator('.job.succeeded').waitFor()
  assert.match(await bob.page.locator('.job .result').first().innerText(), /^[\d,]+ airports imported/)
  await accessible(ann.page, 'the jobs')
  for (const { page } of [ann, bob]) await page.getByText('Aarhus').or(page.getByText('Anaa Airport')).first().waitFor()
})

test('a country leads to its borders', async () => {
  const { page } = ann
  await page.getByLabel('Filter rows').fill('madang')
  await lines(page).getByRole('button', { name: /Papua New Guinea/ }).first().click()
  const panel = page.getByRole('complementary', { name: 'Country' })
  await panel.getByRole('button', { name: /Indonesia/ }).click()
  await panel.getByRole('heading', { name: /Indonesia/ }).waitFor()
  await panel.getByRole('button', { name: /Malaysia/ }).waitFor()
  await accessible(page, 'a country')
  await page.getByLabel('Filter rows').fill('')
  await picture(page, 'country')
})

test('removing a column cleans every row up, and both see it', async () => {
  const { page } = ann
  await page.getByRole('columnheader', { name: 'City' }).hover()
  await button(page, 'Remove column City').click()
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
  }, null, { polling: 250 })
  await live(page)
  await picture(bob.page, 'workbook')
})

test('at any width all is there, and nothing lies over anything', async () => {
  for (const width of [390, 768, 1440]) {
    await ann.page.setViewportSize({ width, height: 844 })
    await reachable(ann.page, `${width} pixels`)
    await accessible(ann.page, `${width} pixels`)
    await picture(ann.page, `width-${width}`)
  }
})

test('on a phone a tap on its bubble opens a row with its comments', async () => {
  const phone = await openWindow(browser, server.url, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true })
  const { page } = phone
  await page.getByRole('link', { name: 'Together' }).tap()
  await page.getByRole('button', { name: /^Comments on row 1/ }).tap()
  await page.getByText('Is this right?').waitFor()
  await reachable(page, 'a row on a phone')
  await accessible(page, 'a row on a phone')
  await picture(page, 'phone')
  assert.deepEqual(phone.errors, [])
  await phone.context.close()
})

test('no page has complained', () => {
  // The browser's own log of the network has the undo that was refused.
  for (const { errors } of [ann, bob]) assert.deepEqual(errors.filter((e) => !/status of 409/.test(e)), [])
})
