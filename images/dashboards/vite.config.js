import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // Some dependency of Perses' asks for Node's `global`.
  define: { global: 'globalThis' },
  resolve: {
    // Two copies of a context's module are two contexts, and the plugins would miss theirs.
    dedupe: [
      'react', 'react-dom', 'echarts', '@emotion/react', '@mui/material', '@tanstack/react-query',
      '@perses-dev/components', '@perses-dev/core', '@perses-dev/dashboards', '@perses-dev/plugin-system',
    ],
  },
  build: { chunkSizeWarningLimit: 4096, reportCompressedSize: false },
  // For work on the viewer: `npm run dev` beside a running program that serves the rest.
  server: { proxy: { '/api': 'http://127.0.0.1:3000', '/dashboards': 'http://127.0.0.1:3000', '/config.json': 'http://127.0.0.1:3000' } },
});
