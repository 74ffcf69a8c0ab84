import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// `npm run dev` serves the page from here and everything else from a running
// `graphtide dev`; `npm run build` makes the site/dist folder that the server shows.
const server = process.env.GRAPHTIDE_URL ?? 'http://127.0.0.1:7420'

export default defineConfig({
  base: './',
  plugins: [vue()],
  resolve: { dedupe: ['vue'] },
  build: { outDir: 'site/dist', emptyOutDir: true, target: 'es2022' },
  server: { proxy: { '/v1': { target: server, ws: true, changeOrigin: true } } },
})
