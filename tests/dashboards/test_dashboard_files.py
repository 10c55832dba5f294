"""The files made from the source, and the command that writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kindling.dashboards import __main__ as command


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(command, "GRAFANA", tmp_path / "grafana")
    monkeypatch.setattr(command, "VIEWER", tmp_path / "viewer")
    monkeypatch.setattr(command.paths, "REPOSITORY", tmp_path)
    return tmp_path


def test_what_is_committed_is_made_of_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["write", "--check"]) == 0, capsys.readouterr().err


def test_writing_makes_every_file_and_then_none(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["write"]) == 0
    written = capsys.readouterr().out.splitlines()
    assert len(written) == len(list(folders.rglob("*.json"))) == 9
    assert command.main(["write"]) == 0
    assert capsys.readouterr().out == ""
    assert command.main(["write", "--check"]) == 0


def test_check_fails_on_a_stale_a_missing_and_a_left_over_file_and_leaves_them(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["write"])
    stale = folders / "grafana" / "cluster.json"
    stale.write_text("{}")
    (folders / "viewer" / "index.json").unlink()
    over = folders / "viewer" / "gone.json"
    over.write_text("{}")
    assert command.main(["write", "--check"]) == 1
    said = capsys.readouterr().err
    for name in ("grafana/cluster.json", "viewer/index.json", "viewer/gone.json"):
        assert name in said
    assert "python -m kindling.dashboards write" in said
    assert stale.read_text() == "{}"
    assert over.exists()
    assert command.main(["write"]) == 0
    assert not over.exists()
