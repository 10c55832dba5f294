// How a chart and its legend share a panel, in place of Perses' own layout (see build.js): that has two
// lines for a legend, however many series there are, and none at all in a low panel.
export const FONT = 12;
export const ROW = 18;
// The least that a chart can be read in.
const CHART = 70;
// Between the labels of the time axis and the legend.
const GAP = 6;
const CHARACTER = 6.6;
const BADGE_AND_GAP = 34;
const SCROLLBAR = 14;

// Lines of a list of labels that flow from left to right.
export function lines(labels, width) {
  let count = 0;
  let left = 0;
  for (const label of labels) {
    const needed = label.length * CHARACTER + BADGE_AND_GAP;
    if (count === 0 || needed > left) {
      count += 1;
      left = width - SCROLLBAR;
    }
    left -= needed;
  }
  return count;
}

export function getContentWithLegendLayout({ width, height, legendProps }) {
  const labels = legendProps?.options ? legendProps.data.map((item) => item.label) : [];
  if (labels.length === 0) {
    return { legend: { show: false, width: 0, height: 0 }, content: { width, height }, margin: { right: 0, bottom: 0 } };
  }
  const room = Math.max(ROW, height - GAP - CHART);
  const needed = lines(labels, width) * ROW;
  // Where it has to scroll, half a line shows that there is more.
  const legend = needed <= room ? needed : Math.max(ROW, (Math.floor(room / ROW) - 0.5) * ROW);
  return {
    legend: { show: true, width, height: legend },
    content: { width, height: height - GAP - legend },
    margin: { right: 0, bottom: GAP },
  };
}
