// The one data source: the Prometheus behind this page's own address.
export function datasources(scrapeInterval) {
  const prometheus = {
    kind: 'GlobalDatasource',
    metadata: { name: 'prometheus' },
    spec: {
      default: true,
      plugin: { kind: 'PrometheusDatasource', spec: { directUrl: '', scrapeInterval } },
    },
  };
  return {
    getDatasource: async () => undefined,
    getGlobalDatasource: async () => prometheus,
    listDatasources: async () => [],
    listGlobalDatasources: async () => [prometheus],
  };
}
