/** What the tests do at a workbook, and see there. */

import { randomUUID } from 'node:crypto'

/** @typedef {import('playwright-core').Page} Page */

export const live = (/** @type {Page} */ page) => page.getByText('Live', { exact: true }).waitFor()
export const offline = (/** @type {Page} */ page) => page.getByText('Offline', { exact: true }).waitFor()
export const lines = (/** @type {Page} */ page) => page.locator('.line')
export const button = (/** @type {Page} */ page, /** @type {string} */ name) => page.getByRole('button', { name, exact: true })

/** A cell, by the numbers of row and column; the country's is the second. @param {Page} page @param {number} row @param {number} column */
export const cell = (page, row, column) => page.locator(`.line[aria-rowindex="${row + 2}"]`).getByRole('gridcell').nth(column)

/** What a cell shows. @param {Page} page @param {number} row @param {number} column @param {string} text */
export const shows = (page, row, column, text) => cell(page, row, column).getByText(text, { exact: true }).waitFor()

/** Types into a cell. @param {Page} page @param {number} row @param {number} column @param {string} text */
export async function type(page, row, column, text) {
  await cell(page, row, column).dblclick()
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText(text)
  await page.keyboard.press('Enter')
}

/**
 * A workbook with rows, made before anybody looks.
 * @param {import('./server.mjs').Server} server
 * @param {string} name
 * @param {number} count
 * @param {(n: number) => Record<string, any>} values of the nth row, from 1
 * @returns {Promise<string>} its id
 */
export async function makeBook(server, name, count, values) {
  const [book, schema] = [randomUUID(), randomUUID()]
  const columns = [{ key: 'name', title: 'Name', width: 280 }, { key: 'notes', title: 'Notes', width: 240 }]
  await server.commit([
    { op: 'add', path: `/objects/${book}`, value: { type: 'DataStore', body: { name } } },
    { op: 'add', path: `/objects/${schema}`, value: { type: 'Schema', body: { name: 'Columns', columns } } },
    { op: 'add', path: `/edges/${randomUUID()}`, value: { label: 'schemaOf', from: schema, to: book } },
  ])
  const PART = 500
  for (let n = 1; n <= count; n += PART) {
    const patch = Array.from({ length: Math.min(PART, count - n + 1) }, (_, i) => {
      const row = randomUUID()
      return [
        { op: 'add', path: `/objects/${row}`, value: { type: 'Record', body: { values: values(n + i), rank: n + i } } },
        { op: 'add', path: `/edges/${randomUUID()}`, value: { label: 'dataStore', from: row, to: book } },
      ]
    })
    await server.commit(patch.flat())
  }
  return book
}
