/** Waits for what no page shows. */

import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { PATIENCE } from './browser.mjs'

/**
 * Asks again and again until something holds.
 * @param {() => Promise<boolean>} holds
 * @param {() => Promise<string>} otherwise what is the case instead
 */
export async function until(holds, otherwise) {
  for (const end = Date.now() + PATIENCE; !(await holds()); await pause(50)) {
    if (Date.now() > end) assert.fail(await otherwise())
  }
}
