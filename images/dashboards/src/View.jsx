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

// Perses lays its controls out in one line, which is wider than a telephone.
const narrow = {
  minWidth: 0,
  '& .MuiStack-root': { flexWrap: 'wrap', rowGap: 1 },
  '& .MuiInputBase-root, & .MuiSelect-select': { maxWidth: '100%' },
  '& .MuiBox-root': { maxWidth: '100%' },
};

function Page({ spec }) {
  const chartsTheme = useChartsTheme();
  return (
    <Box component="main" sx={{ px: { xs: 1, sm: 2 }, pb: 2 }}>
      <Stack direction={{ xs: 'column', md: 'row' }} sx={{ py: 1, gap: { xs: 1, md: 2 }, alignItems: { md: 'center' } }}>
        <Typography variant="h1">{spec.display.name}</Typography>
        <Typography variant="body1" color="text.secondary" sx={{ flexGrow: 1 }}>
          {spec.display.description}
        </Typography>
        <Box sx={narrow}>
          <TimeRangeControls />
        </Box>
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
