/** Has the React DOM of version 18 find the React of version 18. */

import Module from 'node:module'

const loader = /** @type {any} */ (Module)
const resolve = loader._resolveFilename
loader._resolveFilename = (/** @type {string} */ name, /** @type {any[]} */ ...rest) =>
  resolve.call(Module, name === 'react' ? 'react18' : name, ...rest)
