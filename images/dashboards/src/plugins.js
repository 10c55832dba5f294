// Perses' plugins, bundled: nothing is fetched from elsewhere while the page runs.
import * as prometheus from '@perses-dev/prometheus-plugin/lib/plugins/index.js';
import { getPluginModule as prometheusModule } from '@perses-dev/prometheus-plugin/lib/getPluginModule.js';
import * as stat from '@perses-dev/stat-chart-plugin/lib/index.js';
import * as table from '@perses-dev/table-plugin/lib/index.js';
import * as timeseries from '@perses-dev/timeseries-chart-plugin/lib/index.js';
import { dynamicImportPluginLoader } from '@perses-dev/plugin-system';

const modules = [stat, table, timeseries, { ...prometheus, getPluginModule: prometheusModule }];

export const pluginLoader = dynamicImportPluginLoader(
  modules.map((module) => ({
    resource: module.getPluginModule(),
    importPlugin: () => Promise.resolve(module),
  })),
);
