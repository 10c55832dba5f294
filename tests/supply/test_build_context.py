"""Images have the same modes wherever they are built: their unprivileged users can read them."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from kindling import paths
from kindling.supply import build_context
from kindling.supply.containers import IMAGES, Engine, Image, bake
from kindling.supply.recipes import Containers, Programs
from kindling.supply.store import Step
from kindling.supply.versions import load

VERSIONS = load()
CONTAINERS = Containers(VERSIONS, Programs(VERSIONS), Engine(Path("/docker"), "unix:///nowhere"))
# What a build sees: the modes and names of all files in all its contexts.
BUILDER = """#!/bin/sh
cat > {folder}/plan
python3 - <<'END'
import json, pathlib
plan = json.loads(pathlib.Path("{folder}/plan").read_text())
seen = {{}}
for name, target in plan["target"].items():
    for root in (target["context"], *target["contexts"].values()):
        for path in (pathlib.Path(root), *pathlib.Path(root).rglob("*")):
            part = f"{{name}}/{{path.relative_to(root)}}"
            seen[part] = [oct(path.lstat().st_mode), path.is_symlink()]
pathlib.Path("{folder}/seen").write_text(json.dumps(seen))
END
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout under umask 077, of an image with a module, a script, and a file it ignores."""
    folder = tmp_path / "checkout" / "images" / "probe"
    (folder / "data").mkdir(parents=True)
    for name in ("Dockerfile", "serve.py", "ignored.txt", "data/table.csv", "start"):
        (folder / name).write_text(name)
    for path in (tmp_path / "checkout").rglob("*"):
        path.chmod(0o700 if path.is_dir() or path.name == "start" else 0o600)
    return folder


def seen_by(tmp_path: Path, image: Image, results: Mapping[str, Path]) -> dict[str, Any]:
    builder = tmp_path / "buildx"
    builder.write_text(BUILDER.format(folder=tmp_path))
    builder.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    bake([image], Engine(Path("/docker"), "unix:///nowhere", (str(builder),)), results, work)
    assert list(work.iterdir()) == [], "the context is not part of the result"
    seen: dict[str, Any] = json.loads((tmp_path / "seen").read_text())
    return seen


def test_an_image_of_a_checkout_under_umask_077_can_be_read_by_everybody(
    checkout: Path, tmp_path: Path
) -> None:
    program = Step("program", ("1",), lambda *_: None)
    result = tmp_path / "result"
    result.mkdir(mode=0o700)
    (result / "server").write_text("")
    (result / "server").chmod(0o700)
    (result / "page.html").write_text("")
    (result / "page.html").chmod(0o600)
    (result / "alias").symlink_to("server")
    sources = tuple(checkout / name for name in ("serve.py", "start", "data/table.csv"))
    image = Image("probe", {"bin": program}, dockerfile=checkout / "Dockerfile", sources=sources)
    before = {path: path.stat().st_mode for path in checkout.rglob("*")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "REPOSITORY", tmp_path / "checkout")
        seen = seen_by(tmp_path, image, {"program": result})
    modes = {name: int(mode, 8) for name, (mode, is_link) in seen.items() if not is_link}
    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == {
        "probe/.": 0o755,
        "probe/images": 0o755,
        "probe/images/probe": 0o755,
        "probe/images/probe/serve.py": 0o644,
        "probe/images/probe/start": 0o755,
        "probe/images/probe/data": 0o755,
        "probe/images/probe/data/table.csv": 0o644,
        "probe/server": 0o755,
        "probe/page.html": 0o644,
    }
    assert seen["probe/alias"][1], "a link stays one"
    assert {path: path.stat().st_mode for path in before} == before, "the checkout is not ours"


def test_write_access_of_a_group_goes_with_the_rest_of_the_modes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o664)
    tmp_path.chmod(0o2775)
    build_context.normalize(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def images() -> dict[str, Image]:
    """Every image that is built, by its folder."""
    python = CONTAINERS.python
    listed = [
        python, *CONTAINERS._in_node(), *CONTAINERS.addons.values(),
        *CONTAINERS.on_python("python:1"), *CONTAINERS.also(["load-generator"], "python:1"),
        CONTAINERS.importer("python:1"),
    ]  # fmt: skip
    return {image.folder: image for image in listed}


def copied(image: Image) -> list[str]:
    """What the Dockerfile copies out of its own context."""
    lines = re.findall(r"^(?:COPY|ADD) (.*)$", image.file.read_text(), re.MULTILINE)
    words = [[word for word in line.split() if not word.startswith("--chmod")] for line in lines]
    return [one for line in words if not line[0].startswith(("--from", "<<")) for one in line[:-1]]


@pytest.mark.parametrize("image", images().values(), ids=list(images()))
def test_all_that_a_dockerfile_copies_is_in_the_context_of_its_image(image: Image) -> None:
    if image.root:
        assert image.sources == ()
        assert set(copied(image)) <= {"rootfs.tar"}
        return
    root = paths.REPOSITORY if image.dockerfile else image.file.parent
    names = [file.relative_to(root).as_posix() for file in image.sources]
    for pattern in copied(image):
        # A folder is copied as a whole: what is in it counts.
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for name in names), (
            f"{image.file} copies {pattern}"
        )


def test_no_dockerfile_is_missing_here() -> None:
    folders = {file.parent.name for file in IMAGES.glob("*/Dockerfile")} | {"service"}
    # These have nothing of the checkout: what they copy are results of steps.
    assert folders == images().keys() | {"kubernetes", "node", "node-base"}
