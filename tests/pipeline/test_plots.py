"""The page of ``dvc plots show``: it shows every plot of dvc.yaml, and loads nothing for it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from kindling import paths

TABLES = {
    "digits/evaluation/confusion.csv": "actual,predicted\n3,3\n3,3\n3,8\n8,8\n",
    "digits/evaluation/accuracy_by_digit.csv": "digit,accuracy\n3,0.9\n8,0.95\n",
    "digits/model/loss.csv": "round,training\n0,2.0\n1,1.0\n2,0.5\n",
    "text/model/loss.csv": "step,training,held_out\n0,5,5.5\n10,4,4.5\n20,3,3.5\n",
    "text/evaluation/by_tokens_seen.csv": "tokens,accuracy\n1,0.2\n2,0.4\n",
}
PLOTS = yaml.safe_load((paths.REPOSITORY / "dvc.yaml").read_text())["plots"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What DVC writes for tables of a few lines."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, content in TABLES.items():
        table = folder / "pipeline" / "build" / name
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(content)
    (folder / ".dvc").mkdir()
    shutil.copy(paths.REPOSITORY / ".dvc" / "config", folder / ".dvc")
    shutil.copy(paths.REPOSITORY / "pipeline" / "plots.html", folder / "pipeline")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": PLOTS}))
    own = {name: str(folder / name) for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR")}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--out", "out"],
        cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "out" / "index.html").read_text()


def specifications(page: str) -> list[str]:
    return re.findall(r"var spec = (\{.*\});", page)


def test_it_loads_nothing_from_elsewhere(page: str) -> None:
    # The names of the specifications' schema are not loaded.
    text = page
    for specification in specifications(page):
        text = text.replace(specification, "")
    assert "//" not in re.sub(r"^\s*// .*", "", text, flags=re.MULTILINE)
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=", text)
    titles = [json.loads(found)["title"]["text"] for found in specifications(page)]
    assert titles == [title for plot in PLOTS for title in plot]
    assert page.count("vegaEmbed('#") == len(PLOTS)


@pytest.mark.skipif(shutil.which("node") is None, reason="nothing here runs JavaScript")
def test_each_plot_is_drawn_with_all_that_was_measured(page: str) -> None:
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script
    found = ",".join(specifications(page))
    program = f"{script[1]}\nconsole.log(JSON.stringify([{found}].map(draw)))"
    done = subprocess.run(["node", "-"], input=program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    confusion, accuracy, loss, text_loss, by_tokens = json.loads(done.stdout)
    # Of four cells, one is empty.
    assert re.findall(r'middle">(\d*)</text>', confusion)[:4] == ["2", "1", "", "1"]
    assert [f"<title>{bar}</title>" in accuracy for bar in ("3: 0.9", "8: 0.95")] == [True, True]
    assert len(re.findall(r'points="([^"]*)"', loss)[0].split()) == 3
    assert text_loss.count("<polyline") == 2
    assert "held_out (workspace)" in text_loss
    assert by_tokens.count("<polyline") == 1
    for drawing in json.loads(done.stdout):
        assert "NaN" not in drawing
        assert "undefined" not in drawing
