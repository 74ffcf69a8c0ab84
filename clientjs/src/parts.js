/**
 * What `connect` fetches while the socket is opening: writing, the windows and
 * the order of lists, what else objects can do, and what is done about tokens that
 * end and views that get out of step.
 */

export * as lists from './lists.js'
export * as members from './members.js'
export { Renewal } from './renewal.js'
export { Resync } from './resync.js'
export { Writing } from './writing.js'
