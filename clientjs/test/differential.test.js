import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { apply, equal, PatchError } from '../src/patch.js'
import { seeded } from './sim.js'

/** How many cases; the seed is printed with a case that differs. */
const COUNT = Number(process.env.DIFFERENTIAL_CASES ?? 4_000)
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 20_000)

const random = seeded(SEED)
const int = (/** @type {number} */ n) => Math.floor(random() * n)
const pick = (/** @type {readonly any[]} */ list) => list[int(list.length)]

const KEYS = ['a', 'b', '0', '1', '', 'a/b', 'm~n', '-', '__proto__', 'constructor', 'é', '\u{1F600}']
const LEAVES = [null, true, false, 0, 1, -1.5, 1e21, '', 'x', '\u{1F600}']

/** @param {number} depth @returns {any} */
function value(depth) {
  const kind = depth ? int(4) : 0
  if (kind < 2) return pick(LEAVES)
  if (kind === 2) return Array.from({ length: int(4) }, () => value(depth - 1))
  const out = Object.create(null)
  for (let n = int(4); n > 0; n--) out[pick(KEYS)] = value(depth - 1)
  return JSON.parse(JSON.stringify(out))
}

/** A pointer that often leads somewhere. @param {any} doc */
function pointer(doc) {
  let text = ''
  for (let here = doc; here !== null && typeof here === 'object' && random() < 0.8; ) {
    const keys = Array.isArray(here) ? [...here.keys(), here.length, '-', '01'] : [...Object.keys(here), pick(KEYS)]
    const key = String(pick(keys))
    text += `/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`
    here = Object.hasOwn(here, key) ? here[key] : undefined
  }
  return random() < 0.02 ? pick(['a', '/~2', '/~']) : text
}

/** @param {any} doc */
function operation(doc) {
  const op = pick(['add', 'add', 'remove', 'replace', 'move', 'copy', 'test', random() < 0.05 ? 'spam' : 'add'])
  const out = /** @type {any} */ ({ op, path: pointer(doc) })
  if (op === 'move' || op === 'copy') out.from = pointer(doc)
  else if (op === 'test') out.value = random() < 0.7 ? (look(doc, out.path) ?? value(1)) : value(1)
  else if (op !== 'remove') out.value = value(2)
  if (random() < 0.02) delete out[pick(['path', 'value', 'from'])]
  return out
}

/** @param {any} doc @param {string} path */
function look(doc, path) {
  try {
    return apply(doc, [{ op: 'test', path, value: 0 }])
  } catch {
    return path
      .split('/')
      .slice(1)
      .reduce((d, t) => (d !== null && typeof d === 'object' && Object.hasOwn(d, t) ? d[t] : undefined), doc)
  }
}

test('random patches do in the client what they do in the server', { timeout: 240_000 }, () => {
  const cases = Array.from({ length: COUNT }, () => {
    const doc = value(3)
    return { doc, patch: Array.from({ length: 1 + int(4) }, () => operation(doc)) }
  })
  const { stdout, stderr, status } = spawnSync('go', ['run', './cmd/patchlines'], {
    cwd: new URL('../..', import.meta.url).pathname,
    input: cases.map((c) => JSON.stringify(c)).join('\n'),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  expect([status, stderr]).toEqual([0, ''])
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(answers).toHaveLength(COUNT)
  let applied = 0
  for (const [i, { doc, patch }] of cases.entries()) {
    /** @type {any} */
    let mine
    try {
      mine = { value: apply(doc, patch) }
      applied++
    } catch (err) {
      if (!(err instanceof PatchError)) throw err
      mine = { error: err.code }
    }
    const alike = mine.error === answers[i].error && (mine.error !== undefined || equal(mine.value, answers[i].value))
    const what = `seed ${SEED}, case ${i}: ${JSON.stringify({ doc, patch })}`
    expect(alike, `${what}: ${JSON.stringify(mine)} here, ${JSON.stringify(answers[i])} in the server`).toBe(true)
  }
  // The cases are of some use: many apply, many do not.
  expect(applied).toBeGreaterThan(COUNT / 5)
  expect(COUNT - applied).toBeGreaterThan(COUNT / 5)
})
