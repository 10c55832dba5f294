import { Alert, AppBar, Box, Button, CircularProgress, IconButton, Toolbar, Tooltip, Typography } from '@mui/material';
import Weather from 'mdi-material-ui/ThemeLightDark';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { Link, Navigate, useParams } from 'react-router-dom';
import { datasources } from './datasource.js';
import { View } from './View.jsx';

async function read(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer.json();
}

function useFile(path) {
  return useQuery({ queryKey: [path], queryFn: () => read(path), staleTime: Infinity, retry: 2 });
}

export function App({ onOtherMode }) {
  const { uid } = useParams();
  const index = useFile('/dashboards/index.json');
  const config = useFile('/config.json');
  const api = useMemo(() => config.data && datasources(config.data.scrapeInterval), [config.data]);
  const error = index.error ?? config.error;
  if (error) return <Alert severity="error">The dashboards cannot be read: {error.message}</Alert>;
  if (!index.data || !api) return <CircularProgress sx={{ m: 4 }} />;
  if (!uid) return <Navigate to={`/d/${index.data[0].uid}`} replace />;
  return (
    <Box sx={{ minHeight: '100vh', bgcolor: 'background.default', color: 'text.primary' }}>
      <AppBar position="sticky" color="inherit" elevation={1}>
        <Toolbar variant="dense" component="nav" aria-label="dashboards" sx={{ gap: 1, overflowX: 'auto', px: { xs: 1 } }}>
          {index.data.map((one) => (
            <Button
              key={one.uid}
              component={Link}
              to={`/d/${one.uid}`}
              title={one.description}
              variant={one.uid === uid ? 'contained' : 'text'}
              aria-current={one.uid === uid ? 'page' : undefined}
              sx={{ flexShrink: 0, px: { xs: 1, sm: 2 } }}
            >
              {one.title}
            </Button>
          ))}
          <Typography
            variant="body2"
            color="text.secondary"
            noWrap
            sx={{ ml: 'auto', display: { xs: 'none', md: 'block' } }}
          >
            read-only viewer; Grafana is used where its image can be had
          </Typography>
          <Tooltip title="Light or dark">
            <IconButton aria-label="light or dark" onClick={onOtherMode} sx={{ ml: { xs: 'auto', md: 0 } }}>
              <Weather />
            </IconButton>
          </Tooltip>
        </Toolbar>
      </AppBar>
      <Chosen key={uid} uid={uid} api={api} />
    </Box>
  );
}

function Chosen({ uid, api }) {
  const resource = useFile(`/dashboards/${encodeURIComponent(uid)}.json`);
  if (resource.error) return <Alert severity="error">There is no such dashboard: {resource.error.message}</Alert>;
  if (!resource.data) return <CircularProgress sx={{ m: 4 }} />;
  document.title = resource.data.spec.display.name;
  return <View resource={resource.data} datasourceApi={api} />;
}
