"""The charts in ``charts/``: rendered with helm, checked against Kubernetes' schemas, documented.

Commands: ``python -m kindling.charts readme [--check]`` and ``… validate --helm PATH``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply import versions

CHARTS = paths.REPOSITORY / "charts"

Manifest = dict[str, Any]


def all_charts(folder: Path = CHARTS) -> list[Path]:
    """Every chart's folder, sorted by name."""
    return sorted(file.parent for file in folder.glob("*/Chart.yaml"))


def render(
    helm: Path,
    chart: Path,
    values: Mapping[str, Any] | None = None,
    *,
    release: str = "",
    namespace: str = "kindling",
) -> list[Manifest]:
    """The manifests of ``chart`` with ``values`` over its own; the release is named as the chart.

    Another name is given by ``release``.
    Raises KindlingError with helm's message when the chart refuses the values.
    """
    output = _helm(
        helm, "template", release or chart.name, str(chart), "--namespace", namespace,
        "--kube-version", versions.load().kubernetes, "--values", "-",
        stdin=json.dumps(dict(values or {})),
    )  # fmt: skip
    # Python's own parser takes seconds for the dashboards.
    return [manifest for manifest in yaml.load_all(output, yaml.CSafeLoader) if manifest]


def lint(helm: Path, chart: Path) -> None:
    """``helm lint --strict`` with default values. Raises KindlingError with what it found."""
    _helm(helm, "lint", "--strict", "--kube-version", versions.load().kubernetes, str(chart))


def validate(manifests: Iterable[Manifest]) -> None:
    """Check ``manifests`` against the schemas of our Kubernetes version; unknown fields are errors.

    Raises KindlingError that names the first manifest and field at fault.
    """
    from kubernetes_validate import utils as schemas

    version = versions.load().kubernetes
    minor = schemas.major_minor(version.removeprefix("v"))
    if minor not in map(schemas.major_minor, schemas.all_versions()):
        # With an older schema it would silently check against another version.
        raise KindlingError(
            f"kubernetes-validate has no schemas for {version}",
            next_step="pip install --upgrade kubernetes-validate",
        )
    for manifest in manifests:
        name = f"{manifest.get('kind')}/{manifest.get('metadata', {}).get('name')}"
        if name.endswith("/None"):
            raise KindlingError(f"{name} has no metadata.name")
        try:
            schemas.validate(manifest, version, strict=True)
        except schemas.ValidationError as error:
            field = ".".join(str(part) for part in error.absolute_path) or "top level"
            raise KindlingError(f"{name} is not valid at {field}: {error.message}") from error
        except schemas.SchemaNotFoundError as error:
            raise KindlingError(f"{name}: {error.message}") from error
        except KeyError as error:
            raise KindlingError(f"{name} has no {error}") from error


def readme(chart: Path) -> str:
    """README.md of ``chart``, made from Chart.yaml and the ``# --`` comments in values.yaml.

    Raises KindlingError when a value has no ``# --`` comment, itself or above it.
    """
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    lines = [
        f"# {about['name']}",
        "",
        f"{about['description']}.",
        f"Chart version {about['version']}, application version {about['appVersion']}.",
        "",
        "Other values than these are refused, and so are values that contradict each other.",
        "",
        "| Value | Default | Meaning |",
        "|---|---|---|",
    ]
    for path, default, meaning in documented_values(chart / "values.yaml"):
        shown = json.dumps(default, ensure_ascii=False)
        lines.append(f"| `{path}` | `{_cell(shown)}` | {_cell(meaning)} |")
    return "\n".join([*lines, "", "Made by `python -m kindling.charts readme`.", ""])


def documented_values(file: Path) -> list[tuple[str, Any, str]]:
    """(path, default, meaning) of every value in ``file`` that a ``# --`` comment describes.

    Raises KindlingError when a value has none, itself or above it.
    """
    text = file.read_text()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise KindlingError(f"{file} is not a mapping")
    return list(_walk(file, root, yaml.safe_load(text), text.splitlines(), ()))


def _walk(
    file: Path, node: yaml.MappingNode, values: Any, lines: Sequence[str], above: tuple[str, ...]
) -> Iterator[tuple[str, Any, str]]:
    for key, child in node.value:
        path = (*above, key.value)
        meaning = _comment_above(lines, key.start_mark.line)
        if meaning:
            yield ".".join(path), values[key.value], meaning
        elif isinstance(child, yaml.MappingNode) and child.value:
            yield from _walk(file, child, values[key.value], lines, path)
        else:
            raise KindlingError(
                f"{file}:{key.start_mark.line + 1}: {'.'.join(path)} has no `# --` comment"
            )


def _comment_above(lines: Sequence[str], number: int) -> str:
    comment: list[str] = []
    while number and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        text = lines[number].lstrip()
        if text.startswith("# --"):
            return " ".join([text.removeprefix("# --").strip(), *comment])
        comment.insert(0, text.lstrip("# "))
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _helm(helm: Path, *args: str, stdin: str = "") -> str:
    try:
        done = subprocess.run(
            [str(helm), *args], input=stdin, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        raise KindlingError(f"helm is not at {helm}", next_step="nox -s cluster-up") from None
    except subprocess.TimeoutExpired:
        raise KindlingError(f"`helm {args[0]}` did not end in 60 s") from None
    if done.returncode:
        found = done.stderr.strip().removeprefix("Error: ")
        raise KindlingError(f"`helm {args[0]}` failed: {found}\n{done.stdout.strip()}".strip())
    return done.stdout


def _write_readmes(charts: Sequence[Path], *, check: bool) -> None:
    for chart in charts:
        file = chart / "README.md"
        text = readme(chart)
        if file.exists() and file.read_text() == text:
            continue
        if check:
            raise KindlingError(
                f"{file} does not match values.yaml", next_step="python -m kindling.charts readme"
            )
        file.write_text(text)
        print(f"written: {file}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kindling.charts", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    readmes = commands.add_parser("readme", help="write README.md of every chart")
    readmes.add_argument("--check", action="store_true", help="only fail if one is out of date")
    checks = commands.add_parser("validate", help="lint, render and check every chart")
    checks.add_argument("--helm", type=Path, required=True, help="the helm binary")
    options = parser.parse_args(arguments)
    try:
        if options.command == "readme":
            _write_readmes(all_charts(), check=options.check)
        else:
            for chart in all_charts():
                lint(options.helm, chart)
                validate(render(options.helm, chart))
                print(f"valid: {chart.name}")
    except KindlingError as error:
        print(error.for_people(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
