"""kind's node image, built by ``kind build node-image`` from binaries and images made here."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindling import retry
from kindling.supply import command
from kindling.supply.containers import Engine, Image, bake, save
from kindling.supply.store import Step

_BINARIES = ("kubeadm", "kubelet", "kubectl")
# kind reads the names in exactly these four archives; the first carries all other images too.
_ARCHIVES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def images_step(
    images: Sequence[Image], engine: Engine, seeds: Sequence[tuple[Image, Step]] = ()
) -> Step:
    """A step whose result is one archive for each of kind's four, holding all ``images``.

    ``seeds`` ride along as they are at the time, and do not count as inputs: nodes that have
    the current image need no import, and a change of the service rebuilds no node image.
    """

    def build(out: Path, results: Mapping[str, Path]) -> None:
        bake(images, engine, results)
        by_name = {image.folder: image for image in images}
        others = [image for image in images if image.folder not in _ARCHIVES[1:]]
        others += [image for image, _ in seeds]
        save(others, engine, out / f"{_ARCHIVES[0]}.tar")
        for name in _ARCHIVES[1:]:
            save([by_name[name]], engine, out / f"{name}.tar")

    needs = {need.name: need for image in images for need in image.needs}
    inputs = tuple(f"{image.ref} {image.key}" for image in images)
    after = tuple(step for _, step in seeds)
    return Step("node-images", inputs, build, needs=tuple(needs.values()), after=after)


def node_image_step(
    base: Image, images: Step, kubernetes: Step, kind: Step, version: str, engine: Engine
) -> Step:
    """A step that leaves the node image in the engine; ``image.ref`` in its result names it."""
    needs = (*base.needs, images, kubernetes, kind)
    key = Step("node-image", (version, base.key), lambda *_: None, needs=needs).key
    ref = f"docker.io/kindling/node:{version}-{key[:12]}"

    def build(out: Path, results: Mapping[str, Path]) -> None:
        bake([base], engine, results)
        server = out / "server.tar.gz"
        _server_archive(server, results[kubernetes.name], results[images.name], version)
        scratch = out / "tmp"
        scratch.mkdir()
        command.run(
            [results[kind.name] / "kind", "build", "node-image", "--type=file",
             f"--image={ref}", f"--base-image={base.built_ref}", server],
            env={**engine.env, "TMPDIR": str(scratch)},
            what="kind build node-image", again=retry.ENGINE,
        )  # fmt: skip
        server.unlink()
        command.run(["rm", "-rf", scratch])
        (out / "image.ref").write_text(ref)

    return Step(
        "node-image",
        (version, base.key),
        build,
        needs=needs,
        present=lambda _: engine.has_image(ref),
    )


def _server_archive(target: Path, binaries: Path, images: Path, version: str) -> None:
    """The layout of a Kubernetes server release; kind wants gzip and unpacks it at once."""
    below = "kubernetes/server/bin"
    with tarfile.open(target, "w:gz", compresslevel=0) as archive:
        note = target.with_name("version")
        note.write_text(version)
        archive.add(note, "kubernetes/version")
        note.unlink()
        for name in _BINARIES:
            archive.add(binaries / name, f"{below}/{name}")
        for name in _ARCHIVES:
            archive.add(images / f"{name}.tar", f"{below}/{name}.tar")
