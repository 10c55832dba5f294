// Perses would load plugins from other hosts with it; here they are all in the page.
export function createInstance() {
  throw new Error('this page loads no plugins');
}
