/**
 * What tells the stores of one browser apart: which server, which graph, whose token.
 */

/** The claim of a JWT that names its user; '' where there is none. @param {string | undefined} token */
export function subject(token) {
  try {
    const payload = String(token).split('.')[1].replace(/-/g, '+').replace(/_/g, '/')
    return String(JSON.parse(atob(payload)).sub ?? '')
  } catch {
    return ''
  }
}

/** @param {string} url @param {string} graph @param {string | undefined} token */
export const nameOf = (url, graph, token) => `graphtide ${url.replace(/\/+$/, '')} ${graph} ${subject(token)}`
