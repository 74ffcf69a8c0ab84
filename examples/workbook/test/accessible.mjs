/** What axe-core finds on a page that keeps people out. */

import assert from 'node:assert/strict'
import axe from 'axe-core'

/**
 * Fails where something on the page is a serious or critical barrier.
 * @param {import('playwright-core').Page} page
 * @param {string} what for the message
 */
export async function accessible(page, what) {
  // Colours are judged as they are in the end, not in the middle of a change.
  await page.waitForFunction(() => document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity))
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source) // not as a script: the page allows only its own
  const barriers = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ['violations'] })
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.id}: ${v.help}\n${v.nodes.map((n) => `    ${n.html.slice(0, 160)}\n    ${n.failureSummary}`).join('\n')}`)
  })
  assert.equal(barriers.length, 0, `${what}:\n${barriers.join('\n')}`)
}
