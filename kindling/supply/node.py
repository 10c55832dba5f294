"""What the node image is made of, beside programs: images for its pods, and kind's manifests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindling.errors import KindlingError
from kindling.supply.containers import Engine, Image, bake, save
from kindling.supply.store import Step

# What a node applies when kind has started it, and the constants of kind that hold it.
MANIFESTS = {
    "default-cni.yaml": "defaultCNIManifest",
    "default-storage.yaml": "defaultStorageManifest",
}
_LITERAL = r"(?:`[^`]*`|\"[^\"\n]*\"|\w+)"
# The provisioner waits two minutes for a helper pod that will never run, and only then makes
# another: on cgroup v1 runc sometimes cannot create it. A good one may take half a minute.
HELPER_SECONDS = 60


def images_step(
    images: Sequence[Image], engine: Engine, seeds: Sequence[tuple[Image, Step]] = ()
) -> Step:
    """A step whose result is an archive, ``images.tar``, of all ``images``.

    ``seeds`` ride along as they are at the time, and do not count as inputs: nodes that have
    the current image need no import, and a change of the service rebuilds no node image.
    """

    def build(out: Path, results: Mapping[str, Path]) -> None:
        bake(images, engine, results, out)
        held = [*images, *(image for image, _ in seeds)]
        save(engine, out / "images.tar", {image.built_ref: image.ref for image in held})

    needs = {need.name: need for image in images for need in image.needs}
    inputs = tuple(f"{image.ref} {image.key}" for image in images)
    after = tuple(step for _, step in seeds)
    return Step("node-images", inputs, build, needs=tuple(needs.values()), after=after)


def write_manifests(kind: Path, folder: Path) -> None:
    """Write what kind's nodes apply when they start, out of the sources of ``kind``."""
    sources = sorted((kind / "pkg" / "build" / "nodeimage").glob("const*.go"))
    text = "\n".join(file.read_text() for file in sources)
    folder.mkdir(parents=True)
    for name, constant in MANIFESTS.items():
        (folder / name).write_text(go_constant(text, constant))
    storage = folder / "default-storage.yaml"
    patient = storage.read_text()
    hasty = patient.replace('"nodePathMap"', f'"cmdTimeoutSeconds":{HELPER_SECONDS}, "nodePathMap"')
    if hasty == patient:
        raise KindlingError("kind's storage manifest has no nodePathMap", next_step="git status")
    storage.write_text(hasty)


def go_constant(text: str, name: str) -> str:
    """The string constant ``name`` in Go's source ``text``: literals and constants, added up.

    Raises KindlingError where there is none.
    """
    found = re.search(rf"\b{name} = ({_LITERAL}(?:\s*\+\s*{_LITERAL})*)", text)
    if not found:
        raise KindlingError(f"kind has no constant {name} any more", next_step="git status")
    parts = re.findall(_LITERAL, found[1])
    return "".join(part[1:-1] if part[0] in '`"' else go_constant(text, part) for part in parts)
