"""How the viewer lays charts and their legends out; its functions are run by node where it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from kindling import paths

VIEWER = paths.REPOSITORY / "images" / "dashboards"


def layout(labels: list[str], width: int, height: int) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH")
    data = [{"label": label} for label in labels]
    given = {"width": width, "height": height,
             "legendProps": {"options": {"position": "bottom"}, "data": data}}  # fmt: skip
    module = json.dumps(str(VIEWER / "src" / "legend.js"))
    script = (
        f"import {{ getContentWithLegendLayout as layout }} from {module};"
        f"console.log(JSON.stringify(layout({json.dumps(given)})));"
    )
    done = subprocess.run(
        [node, "--input-type=module", "--eval", script],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


PODS = [f"serving-7d9f8b6c5-{end}" for end in ("x2x9k", "m4tqz", "bb7wd", "9hcfl")]


@pytest.mark.parametrize(
    ("labels", "width", "height", "lines"),
    [
        (["p50", "p95", "p99"], 440, 230, 1),
        # Two of these names fit beside each other in a third of a wide page, one on a telephone.
        (PODS, 440, 230, 2),
        (PODS, 340, 230, 4),
        (PODS * 2, 440, 230, 4),
        # The panel of events is low.
        (["HighLatency", "no event"], 1380, 120, 1),
    ],
)
def test_a_legend_has_a_line_for_all_of_its_series(
    labels: list[str], width: int, height: int, lines: int
) -> None:
    found = layout(labels, width, height)
    assert found["legend"] == {"show": True, "width": width, "height": 18 * lines}
    assert found["content"]["height"] == height - 6 - 18 * lines
    assert found["content"]["height"] >= 70


def test_a_legend_that_has_to_scroll_shows_that_there_is_more() -> None:
    found = layout(PODS * 10, 440, 230)
    assert found["legend"]["show"]
    assert found["legend"]["height"] % 18 == 9
    assert found["content"]["height"] >= 70


def test_a_chart_without_series_has_no_legend() -> None:
    assert layout([], 440, 230)["legend"]["show"] is False


def test_the_build_takes_the_layout_in_place_of_that_of_perses() -> None:
    text = (VIEWER / "build.js").read_text()
    assert "content-with-legend-model$/" in text
    assert "plugins: [icons, legend, page]" in text
    # Written for this version of it: look at its own layout before another one is taken.
    packages = json.loads((VIEWER / "package.json").read_text())["dependencies"]
    assert packages["@perses-dev/components"] == "0.52.0"


def test_labels_of_the_time_axis_stay_apart_and_within_the_chart() -> None:
    text = (VIEWER / "src" / "main.jsx").read_text()
    assert "generateChartsTheme(theme, charts)" in text
    assert "splitNumber: 4" in text
    assert "minMargin: 8" in text
    assert "alignMinLabel: 'left', alignMaxLabel: 'right'" in text


def test_controls_and_tables_do_not_widen_a_telephone() -> None:
    assert "flexWrap: 'wrap'" in (VIEWER / "src" / "View.jsx").read_text()
    assert "overflowX: 'auto'" in (VIEWER / "src" / "App.jsx").read_text()
    text = (VIEWER / "src" / "main.jsx").read_text()
    assert re.search(r"max-width: 600px\)': \{ '\.MuiTable-root th\.[^}]*width: '190px", text)
