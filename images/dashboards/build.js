// Bundles the page into dist. For work on it: `npm run build -- --watch`, and the program
// images/go/cluster/cmd/dashboards with --files=dist, which serves the rest too.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as esbuild from 'esbuild';

const ENTRY = 'src/main.jsx';

const icons = {
  name: 'icons',
  setup(build) {
    build.onResolve({ filter: /^mdi-material-ui\/./ }, ({ path }) => ({ path: path.split('/')[1], namespace: 'icon' }));
    build.onLoad({ filter: /./, namespace: 'icon' }, ({ path }) => ({
      contents: `
        import { createSvgIcon } from '@mui/material/utils';
        import { mdi${path} as d } from '@mdi/js';
        import { jsx } from 'react/jsx-runtime';
        export default createSvgIcon(jsx('path', { d }), '${path}');`,
      resolveDir: import.meta.dirname,
    }));
  },
};

const legend = {
  name: 'legend',
  setup(build) {
    build.onResolve({ filter: /\/content-with-legend-model$/ }, () => ({ path: `${import.meta.dirname}/src/legend.js` }));
  },
};

const page = {
  name: 'page',
  setup(build) {
    build.onEnd(async ({ metafile }) => {
      if (!metafile) return;
      const [script, { cssBundle }] = Object.entries(metafile.outputs).find(([, made]) => made.entryPoint === ENTRY);
      const html = await readFile('index.html', 'utf8');
      const head = `<script type="module" src="${script.replace('dist', '')}"></script>
    <link rel="stylesheet" href="${cssBundle.replace('dist', '')}" />`;
      await writeFile('dist/index.html', html.replace(`<script type="module" src="/${ENTRY}"></script>`, head));
    });
  },
};

const options = {
  entryPoints: [ENTRY],
  outdir: 'dist/assets',
  entryNames: '[name]-[hash]',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2020',
  jsx: 'automatic',
  // The modules of a package, also where some other package asks for it in the old way.
  mainFields: ['browser', 'module', 'main'],
  loader: { '.woff': 'file', '.woff2': 'file' },
  define: {
    'process.env.NODE_ENV': '"production"',
    // Some dependency of Perses' asks for Node's `global`.
    global: 'globalThis',
  },
  metafile: true,
  legalComments: 'none',
  logLevel: 'warning',
  logLimit: 20,
  plugins: [icons, legend, page],
};

await mkdir('dist', { recursive: true });
if (process.argv.includes('--watch')) {
  const context = await esbuild.context(options);
  await context.watch();
} else {
  await esbuild.build(options);
}
