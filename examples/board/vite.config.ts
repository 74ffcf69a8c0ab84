import { defineConfig } from 'vite'

// The page comes from here, everything else from a running `graphtide dev --schema app.yaml`.
const target = process.env.GRAPHTIDE_URL ?? 'http://127.0.0.1:7420'
const proxy = { '/v1': { target, ws: true, changeOrigin: true } }

export default defineConfig({
  resolve: { dedupe: ['react', 'react-dom'] },
  server: { proxy },
  preview: { proxy },
})
