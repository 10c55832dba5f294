"""The process in which a new model is opened first: what it may do, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import model_graphs as graphs
import pytest
from conftest import ROOT, wait_until
from model_graphs import package

from service import trial
from service.errors import ModelRefusedError, ModelUnavailableError
from service.settings import Settings

START = asyncio.create_subprocess_exec

# Tries what a model must not be able to, from within the confined process.
ATTEMPT = """
import json, os, resource, sys
from service import check
check.give_way()
found = {"oom": open("/proc/self/oom_score_adj").read().strip(), "nice": os.nice(0)}
target = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
check.confine(5, 30, 64)
def attempt(name, act):
    try:
        act()
        found[name] = "done"
    except (OSError, MemoryError) as error:
        found[name] = type(error).__name__
attempt("write", lambda: os.write(target, b"x"))
attempt("memory", lambda: bytearray(100 * 2**20))
attempt("files", lambda: [os.open("/", os.O_RDONLY) for _ in range(100)])
for name in ("FSIZE", "CORE", "NPROC"):
    found[name] = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
json.dump(found, sys.stdout)
"""


def run(folder: Path, **settings: Any) -> None:
    asyncio.run(trial.try_model(folder, "digits", Settings(**settings)))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_good_model_passes(package_dir: Path) -> None:
    run(package_dir)


def test_the_process_is_confined(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ATTEMPT, str(tmp_path / "written")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=30)
    assert json.loads(done.stdout) == {
        # The kernel ends it rather than the service when memory runs out.
        "oom": "1000",
        "nice": 19,
        "write": "OSError",
        "memory": "MemoryError",
        "files": "OSError",
        "FSIZE": 0,
        "CORE": 0,
        "NPROC": 0,
    }


def test_the_process_knows_nothing_of_the_services_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINDLING_SERVICE_REGISTRY_PASSWORD", "secret")
    started: list[Any] = []

    async def look(*words: str, **options: Any) -> Any:
        started.append((words, options))
        return await START(*words, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", look)
    run(write(tmp_path, package()))
    ((words, options),) = started
    assert options["env"] == {}
    assert "secret" not in " ".join(words)


def test_a_model_may_take_the_memory_that_is_set_and_no_more(tmp_path: Path) -> None:
    write(tmp_path, package() | {"model.onnx": graphs.bloated(100)})
    with pytest.raises(ModelRefusedError, match="memory"):
        run(tmp_path, check_memory_mb=64)
    run(tmp_path, check_memory_mb=300)


def test_the_largest_request_is_tried(tmp_path: Path) -> None:
    write(tmp_path, package() | {"model.onnx": graphs.wide(2**20)})
    run(tmp_path, check_memory_mb=128, max_batch=1)
    with pytest.raises(ModelRefusedError, match="memory"):
        run(tmp_path, check_memory_mb=128, max_batch=256)
    # A request of so few bytes holds few rows.
    run(tmp_path, check_memory_mb=128, max_batch=256, max_body_bytes=1024)


def test_a_model_that_ends_the_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, package())
    for program, reason in {
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
        "import sys; print('x' * 5000); sys.exit(3)": "x" * 1000,
        "import sys; print('a\\0b\\x1b[31m'); sys.exit(3)": r"^ab\[31m$",
    }.items():
        instead(monkeypatch, program)
        with pytest.raises(ModelRefusedError, match=reason) as error:
            run(tmp_path)
        assert len(error.value.message) <= 1000


def test_a_check_that_does_not_end_is_ended_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, package())
    note = tmp_path / "pid"
    instead(
        monkeypatch, f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid()));"
        "time.sleep(60)",
    )  # fmt: skip
    monkeypatch.setattr(trial, "_WALL_SECONDS", -3)
    with pytest.raises(ModelUnavailableError, match="did not end within 1 seconds"):
        run(tmp_path, check_seconds=1)
    assert not Path(f"/proc/{note.read_text()}").exists()


def test_a_check_ends_with_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "pid"
    instead(
        monkeypatch, f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid()));"
        "time.sleep(60)",
    )  # fmt: skip

    async def give_up() -> None:
        task = asyncio.create_task(trial.try_model(tmp_path, "digits", Settings()))
        while not (note.exists() and note.read_text()):
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait({task})

    asyncio.run(give_up())
    assert not Path(f"/proc/{note.read_text()}").exists()


def test_a_check_ends_also_when_nobody_is_left_to_end_it(tmp_path: Path) -> None:
    write(tmp_path, package() | {"model.onnx": graphs.endless()})
    command = [
        sys.executable,
        "-m",
        "service.check",
        str(tmp_path),
        "digits",
        "--wall-seconds",
        "1",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    began = time.monotonic()
    assert process.wait(15) == -signal.SIGALRM
    assert time.monotonic() - began < 10


def test_a_check_that_fails_itself_says_nothing_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, "raise SystemExit(1)")
    with pytest.raises(ModelUnavailableError, match="its check failed with exit code 1"):
        run(tmp_path)


def test_a_check_that_cannot_start_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ModelUnavailableError, match="did not start: No such file"):
        run(tmp_path)


def test_no_process_is_left_over(package_dir: Path) -> None:
    before = children()
    run(package_dir)
    wait_until(lambda: children() <= before, "all have ended")


def children() -> set[str]:
    """Those of this process, some of which may be other tests'."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def instead(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Run this in place of the check."""

    async def run(*words: str, **options: Any) -> Any:
        return await START(sys.executable, "-c", program, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", run)
