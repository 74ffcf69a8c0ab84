import { compile } from 'svelte/compiler'
import { defineConfig } from 'vitest/config'

/** What the tests need of Svelte's plugin. */
const svelte = {
  name: 'svelte',
  /** @param {string} source @param {string} file */
  transform: (source, file) =>
    file.endsWith('.svelte') ? compile(source, { filename: file, generate: 'client' }).js : undefined,
}

/** Limits of time are for what hangs, not for what is slow: a busy machine fails no test. */
const patient = { testTimeout: 120_000, hookTimeout: 120_000 }

/** The binding to React is tested with both versions of it. */
export default defineConfig({
  test: {
    pool: 'threads', // which begin sooner than processes
    projects: [
      {
        plugins: [svelte],
        test: {
          name: 'all',
          include: ['test/*.test.js'],
          server: { deps: { inline: ['svelte', 'esm-env'] } },
          ...patient,
        },
        resolve: { conditions: ['browser'] },
      },
      {
        test: { name: 'react 18', include: ['test/react.test.js'], setupFiles: ['test/react18.js'], ...patient },
        resolve: {
          alias: [
            { find: /^react$/, replacement: 'react18' },
            { find: /^react-dom$/, replacement: 'react-dom18' },
            { find: /^react-dom\/client$/, replacement: 'react-dom18/client' },
          ],
        },
      },
    ],
  },
})
