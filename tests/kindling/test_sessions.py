"""Each Nox session starts in the environment that it declares, and takes whole options only."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kindling import environments, paths

# Their last words before `--`, as the usage line of each parser shows them.
_PROGRAM = {"tests": "python -m pytest", "bench-latency": "python -m loadtests.bench_latency"}
_FIRST_PARTY = ("kindling", "service", "pipeline", "loadtests")


def _nox(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nox", f"--noxfile={paths.REPOSITORY / 'noxfile.py'}", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={
            **os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **environment,
        },
    )  # fmt: skip


def _sessions() -> dict[str, tuple[str, str]]:
    """The environment and the module of each session, out of the noxfile."""
    found = {}
    for node in ast.parse((paths.REPOSITORY / "noxfile.py").read_text()).body:
        if not isinstance(node, ast.FunctionDef) or not node.decorator_list:
            continue
        named = [
            keyword.value.value
            for call in node.decorator_list
            if isinstance(call, ast.Call)
            for keyword in call.keywords
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
        ]
        given = [
            word.value
            for call in ast.walk(node)
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "_module"
            for word in call.args
            if isinstance(word, ast.Constant)
        ]
        found[str(named[0]) if named else node.name] = (str(given[0]), str(given[1]))
    return found


SESSIONS = _sessions()


def _said(option: str) -> dict[str, str]:
    """What each session prints when all are started with ``option``, one after another."""
    done = _nox("--session", *SESSIONS, "--", option)
    parts = re.split(r"^nox > Running session (\S+)$", done.stdout, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def helped() -> dict[str, str]:
    return _said("--help")


@pytest.fixture(scope="module")
def shortened() -> dict[str, str]:
    return _said("--hel")


def test_sessions_that_succeed_exit_with_0() -> None:
    assert _nox("--session", "status", "--", "--help").returncode == 0


def test_every_session_is_looked_at() -> None:
    listed = _nox("--list").stdout
    assert set(re.findall(r"^[-*] (\S+)", listed, re.M)) == set(SESSIONS)


@pytest.mark.parametrize("session", SESSIONS)
def test_session_starts_in_its_own_environment(session: str, helped: dict[str, str]) -> None:
    said = helped[session]
    assert f"usage: {_PROGRAM.get(session, f'nox -s {session} --')}" in said
    assert f"Session {session} was successful" in said
    assert "Traceback (most" not in said


@pytest.mark.parametrize("session", SESSIONS)
def test_session_takes_no_prefix_for_an_option(session: str, shortened: dict[str, str]) -> None:
    said = shortened[session]
    assert f"Session {session} failed" in said
    assert re.search(r"--hel\b", said.replace("-- --hel", "")), said
    assert "Traceback (most" not in said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["password"], 1),
        (["cluster-up", "--", "--hel"], 2),
        (["status"], 3),
        (["status", "password"], 1),
    ],
)
def test_exit_code_of_a_command_reaches_the_caller(
    tmp_path: Path, words: list[str], code: int
) -> None:
    """Without a cluster: there is none to have a password or a status."""
    done = _nox("--session", *words, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == code, done.stdout
    assert f"Session {words[0]} failed" in done.stdout


def test_no_parser_takes_prefixes_for_options() -> None:
    lacking = [
        f"{file.relative_to(paths.REPOSITORY)}:{node.lineno}"
        for file in _sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "ArgumentParser"
        and not any(
            keyword.arg == "allow_abbrev" and getattr(keyword.value, "value", True) is False
            for keyword in node.keywords
        )
    ]
    assert not lacking, "`--al` would be taken for `--all`"


@pytest.mark.parametrize("lock", sorted({lock for lock, _ in SESSIONS.values()}))
def test_environment_holds_what_its_sessions_import_late(lock: str) -> None:
    modules = {module for declared, module in SESSIONS.values() if declared == lock}
    wanted = sorted(set().union(*map(_reachable, modules)))
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [environments.ensure(lock), "-c", script, *wanted],
        capture_output=True, text=True, timeout=300, cwd=paths.REPOSITORY,
        env={**os.environ, **environments.variables()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _sources() -> Iterator[Path]:
    for folder in (*_FIRST_PARTY, "images", "plugins"):
        yield from (paths.REPOSITORY / folder).rglob("*.py")


def _reachable(module: str) -> set[str]:
    """The modules of ours that ``module`` imports, at its top or within a function."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if name in found or file is None:
            continue
        found.add(name)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return found


def _file(module: str) -> Path | None:
    if module.partition(".")[0] not in _FIRST_PARTY:
        return None
    base = paths.REPOSITORY.joinpath(*module.split("."))
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)
