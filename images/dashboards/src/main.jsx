import { CssBaseline, GlobalStyles, ThemeProvider } from '@mui/material';
import { ChartsProvider, generateChartsTheme, getTheme, SnackbarProvider } from '@perses-dev/components';
import { PluginRegistry } from '@perses-dev/plugin-system';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { useEffect, useMemo, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter, Route, Routes } from 'react-router-dom';
import { QueryParamProvider } from 'use-query-params';
import { ReactRouter6Adapter } from 'use-query-params/adapters/react-router-6';
import { App } from './App.jsx';
import { FONT, ROW } from './legend.js';
import { pluginLoader } from './plugins.js';

const queryClient = new QueryClient({
  // Without the data before, every refresh would empty all panels until variables and queries are answered.
  defaultOptions: { queries: { refetchOnWindowFocus: false, retry: 1, keepPreviousData: true } },
});
const defaultPluginKinds = { Panel: 'TimeSeriesChart', TimeSeriesQuery: 'PrometheusTimeSeriesQuery' };

// As legend.js counts on.
const styles = {
  '[role=listitem] .MuiListItemText-root': { margin: 0 },
  '[role=listitem] .MuiListItemText-primary': { fontSize: FONT, lineHeight: `${ROW}px`, whiteSpace: 'nowrap' },
  'ul:has(> [role=listitem])': { scrollbarWidth: 'thin' },
  // Where many columns share a telephone, the table scrolls by itself.
  '@media (max-width: 600px)': { '.MuiTable-root th.MuiTableCell-root': { width: '190px !important' } },
};

// By default twice as many labels as there is room for, and half of the outer ones beyond the chart.
const charts = {
  echartsTheme: {
    timeAxis: { splitNumber: 4, axisLabel: { minMargin: 8, margin: 10, alignMinLabel: 'left', alignMaxLabel: 'right' } },
  },
};

function firstMode() {
  const kept = localStorage.getItem('mode');
  if (kept) return kept;
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

function Root() {
  const [mode, setMode] = useState(firstMode);
  useEffect(() => localStorage.setItem('mode', mode), [mode]);
  const theme = useMemo(() => getTheme(mode), [mode]);
  const chartsTheme = useMemo(() => generateChartsTheme(theme, charts), [theme]);
  const other = () => setMode(mode === 'dark' ? 'light' : 'dark');
  return (
    <ThemeProvider theme={theme}>
      <CssBaseline />
      <GlobalStyles styles={styles} />
      <ChartsProvider chartsTheme={chartsTheme}>
        <SnackbarProvider anchorOrigin={{ vertical: 'bottom', horizontal: 'left' }}>
          <PluginRegistry pluginLoader={pluginLoader} defaultPluginKinds={defaultPluginKinds}>
            <QueryClientProvider client={queryClient}>
              <BrowserRouter>
                <QueryParamProvider adapter={ReactRouter6Adapter}>
                  <Routes>
                    <Route path="/" element={<App onOtherMode={other} />} />
                    <Route path="/d/:uid" element={<App onOtherMode={other} />} />
                  </Routes>
                </QueryParamProvider>
              </BrowserRouter>
            </QueryClientProvider>
          </PluginRegistry>
        </SnackbarProvider>
      </ChartsProvider>
    </ThemeProvider>
  );
}

createRoot(document.getElementById('root')).render(<Root />);
