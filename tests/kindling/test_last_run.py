"""A run that has nothing to do is told from one that has, without Ansible."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kindling import actions, doctor, last_run, paths, run, training_ahead, workloads
from kindling.errors import KindlingError
from kindling.settings import Settings

ENGINE = {"docker": "/bin/docker", "host": "unix:///a", "source": "auto", "owned": True}
FACTS = {"name": "kindling", "ports": {"serving": 8080}}
READY = {"workloads": [{"kind": "Node", "name": "*", "namespace": ""}]}


class Fakes:
    """Actions whose results a test sets; ``asked`` has what was asked of them."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {
            "container_engine": {"changed": False, **ENGINE},
            "kind_cluster": {
                "changed": False, "facts": {**FACTS, "complete": True}, "notes": ["old nodes"],
            },
            "sample_models": {"changed": False, "made": []},
            "prune_builds": {"changed": False},
        }  # fmt: skip
        self.asked: list[tuple[str, dict[str, Any], bool]] = []

    def action(self, name: str) -> Callable[..., dict[str, Any]]:
        def perform(params: dict[str, Any], *, check: bool) -> dict[str, Any]:
            self.asked.append((name, params, check))
            result = self.results[name]
            if callable(result):
                result = result()
            return dict(result)

        return perform


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """A cluster that a run has just made, whose workloads are ready."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    noted = tmp_path / "noted"
    monkeypatch.setenv(last_run.VARIABLE, str(noted))
    made = Fakes()
    for name in made.results:
        monkeypatch.setitem(actions.ALL, name, made.action(name))
    # As the run that made the cluster was answered.
    first = {"changed": True, "facts": {**FACTS, "complete": False, "kind_pid": 7}, "notes": []}
    last_run.note("container_engine", {"source": "auto"}, {"changed": True, **ENGINE})
    last_run.note("prune_builds", {}, {"changed": True})
    last_run.note("kind_cluster", {"name": "kindling"}, first)
    last_run.note("sample_models", {"models": ["digits"]}, {"changed": True, "made": ["digits"]})
    last_run.note("workloads_ready", READY, {"changed": False, "ready_after": {"Node *": 3.0}})
    paths.state_dir("kindling").mkdir(parents=True)
    assert noted.stat().st_mode & 0o077 == 0
    last_run.keep("kindling", "digest", noted, ["engine"])
    assert (paths.state_dir("kindling") / "last-run.json").stat().st_mode & 0o077 == 0
    kubectl = SimpleNamespace(api=lambda *, patient: None)
    monkeypatch.setattr(last_run.Kubectl, "of", classmethod(lambda *_: kubectl))
    monkeypatch.setattr(workloads, "not_ready", lambda *_: {})
    return made


def test_a_run_whose_actions_all_hold_has_nothing_to_do(fakes: Fakes) -> None:
    found = last_run.holds("kindling", "digest")
    assert found == last_run.Unchanged(5, ["old nodes"], ["engine"])
    assert sorted(fakes.asked, key=lambda asked: asked[0]) == [
        ("container_engine", {"source": "auto"}, True),
        ("kind_cluster", {"name": "kindling"}, True),
        ("prune_builds", {}, True),
        ("sample_models", {"models": ["digits"]}, True),
    ]


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("sample_models", {"changed": True, "made": ["digits"]}),
        ("container_engine", {"changed": False, **ENGINE, "host": "unix:///b"}),
        ("kind_cluster", {"changed": False, "facts": {**FACTS, "ports": {"serving": 8081}}}),
    ],
)
def test_an_action_that_would_change_something_or_finds_something_else_does_not_hold(
    fakes: Fakes, action: str, result: dict[str, Any]
) -> None:
    fakes.results[action] = result
    assert last_run.holds("kindling", "digest") is None


def test_an_action_that_fails_or_is_late_does_not_hold(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise KindlingError("the API server does not answer")

    fakes.results["sample_models"] = fail
    assert last_run.holds("kindling", "digest") is None
    fakes.results["sample_models"] = lambda: time.sleep(30)
    monkeypatch.setattr(last_run, "_SECONDS", 0.05)
    assert last_run.holds("kindling", "digest") is None


def test_workloads_that_are_not_ready_do_not_hold(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workloads, "not_ready", lambda _, wanted: dict.fromkeys(wanted, "starts"))
    assert last_run.holds("kindling", "digest") is None


@pytest.mark.parametrize(
    "record",
    [None, "{", "{}", '{"inputs": "digest", "roles": [], "performed": [{}]}',
     '{"inputs": "digest", "roles": [], "performed": []}', '{"roles": [], "performed": []}'],
)  # fmt: skip
def test_without_a_readable_record_nothing_is_asked(fakes: Fakes, record: str | None) -> None:
    file = paths.state_dir("kindling") / "last-run.json"
    file.unlink() if record is None else file.write_text(record)
    assert last_run.holds("kindling", "digest") is None
    assert not fakes.asked


@pytest.mark.parametrize("digest", ["another", ""])
def test_after_a_change_of_its_inputs_nothing_is_asked(fakes: Fakes, digest: str) -> None:
    if not digest:
        # Neither where the last run's inputs could not be told.
        file = paths.state_dir("kindling") / "last-run.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "inputs": ""}))
    assert last_run.holds("kindling", digest) is None
    assert not fakes.asked


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in last_run._INPUTS:
        file = tmp_path / name / "file" if "." not in name else tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    local = tmp_path / "inventories" / "local"
    (local / "group_vars").mkdir(parents=True)
    python = "{{ ansible_playbook_python }}"
    (local / "hosts.yml").write_text(
        f'local: {{hosts: {{localhost: {{ansible_python_interpreter: "{python}"}}}}}}\n'
    )
    monkeypatch.setattr(paths, "REPOSITORY", tmp_path)
    return tmp_path


def digest(overrides: dict[str, Any] | None = None, **variables: Any) -> str:
    return last_run.inputs(Settings("local", variables), overrides or {})


def test_every_input_of_a_run_counts(repository: Path) -> None:
    before = [digest()]
    for name in last_run._INPUTS:
        file = repository / name
        (file / "file" if file.is_dir() else file).write_text("other")
        before.append(digest())
    # Wherever their files are: an inventory may be a link to another folder.
    before.append(digest(models_sample=["text"]))
    assert len(set(before)) == len(before)
    assert digest() == digest()


@pytest.mark.parametrize(
    "value",
    [
        "{{ lookup('env', 'HOME') }}",
        ["{% if now() %}a{% endif %}"],
        {"a": "{{ '$A' | expandvars }}"},
    ],
)
def test_what_ansible_works_out_in_each_run_has_no_digest(repository: Path, value: object) -> None:
    assert digest({"a": value}) == ""
    every = repository / "inventories" / "local" / "group_vars" / "all.yml"
    every.write_text(json.dumps({"a": value}))
    assert digest() == ""
    every.write_text("a: !vault |\n  $ANSIBLE_VAULT;1.1\n")
    assert digest() == ""
    every.write_text("a: plain\n")
    assert digest()


@pytest.mark.parametrize(("options", "plays"), [([], 0), (["-v"], 1), (["--check"], 1)])
def test_a_run_that_has_nothing_to_do_starts_no_playbook(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    plays: int,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(doctor, "critical", lambda _: [])
    monkeypatch.setattr(training_ahead, "beside", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(run.summary, "render", lambda *_: "What runs")
    monkeypatch.setattr(
        last_run, "holds", lambda *_: last_run.Unchanged(9, ["no Grafana"], ["engine"])
    )
    started = []
    monkeypatch.setattr(run, "_playbook", lambda *_: started.append(1) or 1)
    assert run.main(["up", *options]) == plays
    assert len(started) == plays
    if not plays:
        out = capsys.readouterr().out
        assert out.startswith("   note  no Grafana\nok=9 changed=0 failed=0 skipped=0 in ")
        assert "What runs" in out
