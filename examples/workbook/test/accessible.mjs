/** What keeps people out of a page: barriers that axe-core finds, and controls that cannot be hit. */

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

/**
 * Fails where a control beside the grid is covered, cut off or out of the window, or the workbook's name is cut short.
 * @param {import('playwright-core').Page} page
 * @param {string} what for the message
 */
export async function reachable(page, what) {
  const lost = await page.evaluate(() => {
    const covered = (control) => {
      const { x, y, width, height } = control.getBoundingClientRect()
      return width > 0 && !control.contains(document.elementFromPoint(x + width / 2, y + height / 2))
    }
    const controls = [...document.querySelectorAll(':is(.sidebar, .bar, .panel) :is(a, button, input, select, textarea)')]
    return controls.filter((c) => covered(c) || (c.matches('.title') && c.scrollWidth > c.clientWidth)).map((c) => c.outerHTML.slice(0, 160))
  })
  assert.deepEqual(lost, [], what)
}
