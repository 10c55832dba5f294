import { Box, Stack, Typography } from '@mui/material';
import { ChartsProvider, ErrorAlert, ErrorBoundary, useChartsTheme } from '@perses-dev/components';
import {
  Dashboard,
  DashboardStickyToolbar,
  DatasourceStoreProvider,
  PanelDrawer,
  VariableProviderWithQueryParams,
} from '@perses-dev/dashboards';
import { DashboardProviderWithQueryParams } from '@perses-dev/dashboards/dist/context/DashboardProvider/DashboardProviderWithQueryParams.js';
import {
  TimeRangeControls,
  TimeRangeProviderWithQueryParams,
  useInitialRefreshInterval,
  useInitialTimeRange,
} from '@perses-dev/plugin-system';

// One dashboard, to be looked at only: Perses' own view has an Edit button even when told to be read-only.
export function View({ resource, datasourceApi }) {
  const { spec } = resource;
  const range = useInitialTimeRange(spec.duration);
  const refresh = useInitialRefreshInterval(spec.refreshInterval);
  return (
    <DatasourceStoreProvider dashboardResource={resource} datasourceApi={datasourceApi}>
      <DashboardProviderWithQueryParams initialState={{ dashboardResource: resource, isEditMode: false }}>
        <TimeRangeProviderWithQueryParams initialTimeRange={range} initialRefreshInterval={refresh}>
          <VariableProviderWithQueryParams initialVariableDefinitions={spec.variables}>
            <ErrorBoundary FallbackComponent={ErrorAlert}>
              <Page spec={spec} />
            </ErrorBoundary>
          </VariableProviderWithQueryParams>
        </TimeRangeProviderWithQueryParams>
      </DashboardProviderWithQueryParams>
    </DatasourceStoreProvider>
  );
}

function Page({ spec }) {
  const chartsTheme = useChartsTheme();
  return (
    <Box component="main" sx={{ px: 2, pb: 2 }}>
      <Stack direction="row" alignItems="center" gap={2} sx={{ py: 1 }}>
        <Typography variant="h1">{spec.display.name}</Typography>
        <Typography variant="body1" color="text.secondary" sx={{ flexGrow: 1 }}>
          {spec.display.description}
        </Typography>
        <TimeRangeControls />
      </Stack>
      {spec.variables.length > 0 && <DashboardStickyToolbar initialVariableIsSticky={false} />}
      <Box sx={{ pt: 1 }}>
        <Dashboard />
      </Box>
      <ChartsProvider chartsTheme={chartsTheme} enablePinning={false} enableSyncGrouping={false}>
        <PanelDrawer />
      </ChartsProvider>
    </Box>
  );
}
