"""The converter's container: what docker is told, and how it ends."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from imported import answer

from kindling.errors import KindlingError
from kindling.import_container import convert, options, sweep
from kindling.supply.containers import Engine


def engine(folder: Path, script: str) -> Engine:
    """A docker that writes down what it is told, and runs ``script`` for `run`."""
    docker = folder / "docker"
    docker.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {folder}/told\n[ "$1" = run ] || exit 0\n{script}\n'
    )
    docker.chmod(0o755)
    return Engine(docker, "unix:///nowhere")


def told(folder: Path) -> list[str]:
    return (folder / "told").read_text().splitlines()


def test_the_container_may_do_nothing() -> None:
    words = options("kindling-import-1", Path("/source"))
    for word in (
        "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        "--user=10001:10001", "--memory=4g", "--memory-swap=4g", "--cpus=2", "--pids-limit=256",
        "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=512m", "--pull=never", "--log-driver=none",
        "--mount=type=bind,source=/source,target=/model,readonly", "--rm",
        "--label=app.kubernetes.io/part-of=kindling",
    ):  # fmt: skip
        assert word in words
    # One way in, and none out.
    assert len([word for word in words if word.startswith(("--mount", "-v", "--volume"))]) == 1
    assert not [word for word in words if word.startswith("--env")]


def test_a_package_comes_by_standard_output(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(answer())
    docker = engine(tmp_path, f"cat {tmp_path}/answer; echo words >&2")
    found = convert(docker, "importer:1", tmp_path, "mine")
    assert set(found.files) == {"model.json", "model.onnx"}
    started, removed = told(tmp_path)
    assert started.startswith("run --rm --name=kindling-import-")
    assert started.endswith("importer:1 /model mine --seconds=605")
    assert removed == f"rm --force {started.split('--name=')[1].split()[0]}"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("""echo '{"refused": "its step Mine", "next": "another"}'; exit 3""", "^its step Mine$"),
        ("exit 137", "needs more than the 4g of memory"),
        ("exit 139", "ended by signal 11"),
        ("echo no such image >&2; exit 125", "did not start, or ended as if so: no such image"),
        ("exit 1", "ended without a word"),
        ("echo hello; exit 0", "figures are not valid"),
        # It goes on for ever, and is not read to its end.
        ("yes", "figures are not valid"),
    ],
)
def test_what_goes_wrong_is_told(script: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(KindlingError, match=reason):
        convert(engine(tmp_path, script), "importer:1", tmp_path, "mine")
    assert told(tmp_path)[-1].startswith("rm --force kindling-import-")


def test_a_conversion_that_does_not_end_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(KindlingError, match=r"did not end within 0\.3 s"):
        convert(engine(tmp_path, "exec sleep 60"), "importer:1", tmp_path, "mine", seconds=0.3)
    assert time.monotonic() - began < 30
    assert told(tmp_path)[-1].startswith("rm --force kindling-import-")


def test_what_a_killed_import_left_is_ended(tmp_path: Path) -> None:
    docker = engine(tmp_path, "")
    lists = '{ [ "$1" = ps ] && echo "one two"; exit 0; }'
    docker.docker.write_text(docker.docker.read_text().replace("exit 0", lists))
    sweep(docker)
    assert told(tmp_path) == [
        "ps --all --quiet --filter=name=kindling-import-", "rm --force one", "rm --force two"
    ]  # fmt: skip
