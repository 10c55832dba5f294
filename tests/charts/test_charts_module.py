from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kindling import charts
from kindling.errors import KindlingError


def config_map(**more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, **more}


def chart_with(folder: Path, values: str) -> Path:
    (folder / "Chart.yaml").write_text(
        "{apiVersion: v2, name: sample, description: A sample, version: 0.1.0, appVersion: v1}"
    )
    (folder / "values.yaml").write_text(values)
    return folder


def test_a_valid_manifest_passes() -> None:
    charts.validate([config_map(data={"a": "b"})])


def test_an_unknown_field_is_named_with_its_manifest() -> None:
    with pytest.raises(KindlingError, match=r"ConfigMap/c is not valid at top level.*dta"):
        charts.validate([config_map(dta={})])


def test_a_wrong_type_is_named_with_its_path() -> None:
    with pytest.raises(KindlingError, match=r"ConfigMap/c is not valid at data\.a"):
        charts.validate([config_map(data={"a": 1})])


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KindlingError, match="Thing/t: Couldn't find schema"):
        charts.validate([{"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}}])


def test_a_manifest_without_a_kind_is_an_error() -> None:
    with pytest.raises(KindlingError, match="has no 'kind'"):
        charts.validate([{"apiVersion": "v1", "metadata": {"name": "c"}}])


def test_a_manifest_without_a_name_is_an_error() -> None:
    with pytest.raises(KindlingError, match=r"ConfigMap/None has no metadata\.name"):
        charts.validate([config_map(metadata={})])


def test_a_missing_helm_is_an_error_for_people(tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match="helm is not at"):
        charts.render(tmp_path / "helm", tmp_path)


def test_the_readme_lists_each_value_with_default_and_meaning(tmp_path: Path) -> None:
    values = "# -- Short or\n# long\na: x|y\nb:\n  # -- Inner\n  c: [1]\n# -- Whole\nd: {e: 1}\n"
    readme = charts.readme(chart_with(tmp_path, values))
    assert [line for line in readme.splitlines() if line.startswith("| `")] == [
        '| `a` | `"x\\|y"` | Short or long |',
        "| `b.c` | `[1]` | Inner |",
        '| `d` | `{"e": 1}` | Whole |',
    ]


def test_a_value_without_a_comment_is_an_error(tmp_path: Path) -> None:
    chart = chart_with(tmp_path, "# -- Known\na: 1\nb: 2\n")
    with pytest.raises(KindlingError, match=r"values\.yaml:3: b has no `# --` comment"):
        charts.readme(chart)


def test_check_fails_on_an_outdated_readme_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sample").mkdir()
    chart = chart_with(tmp_path / "sample", "# -- A\na: 1\n")
    monkeypatch.setattr(charts, "all_charts", lambda: [chart])
    assert charts.main(["readme", "--check"]) == 1
    assert "does not match values.yaml" in capsys.readouterr().err
    assert not (chart / "README.md").exists()
    assert charts.main(["readme"]) == 0
    assert charts.main(["readme", "--check"]) == 0
