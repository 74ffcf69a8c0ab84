/** The condition of rows one of whose values begins with a text, however it is capitalised. */

const escape = (key) => key.replace(/~/g, '~0').replace(/\//g, '~1')

/**
 * @param {string} text
 * @param {{key: string, kind?: string}[]} columns
 * @returns {object | undefined} the `where` of a projection
 */
export function beginsWith(text, columns) {
  const wanted = text.trim()
  if (!wanted || columns.length === 0) return undefined
  const number = Number(wanted)
  const titled = wanted.toLowerCase().replace(/(^|\s|-)\p{L}/gu, (c) => c.toUpperCase())
  const spellings = [...new Set([wanted, titled, wanted.toLowerCase(), wanted.toUpperCase()])]
  const any = columns.flatMap(({ key }) => {
    const value = `/body/values/${escape(key)}`
    const texts = spellings.map((prefix) => ({ [value]: { prefix } }))
    return Number.isFinite(number) ? [...texts, { [value]: number }] : texts
  })
  return { or: any }
}
