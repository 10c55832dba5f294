"""kind's node image, built by ``kind build node-image`` from binaries and images made here."""

from __future__ import annotations

import io
import os
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kindling import retry
from kindling.supply import command
from kindling.supply.containers import Engine, Image, bake, save
from kindling.supply.store import Step

# kind reads exactly these four archives, whatever images are in them.
_ARCHIVES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
# kind copies files, not links, and a copy of the binary for each would be three times as much.
_BY_NAME = """#!/bin/bash
exec -a "${0##*/}" /usr/bin/kubernetes "$@"
"""
# kind pulls its base image five times, with ten seconds of pauses, before it takes what is there.
_NO_PULL = """#!/bin/sh
test "$1" = pull || exec {docker} "$@"
"""


def images_step(
    images: Sequence[Image], engine: Engine, seeds: Sequence[tuple[Image, Step]] = ()
) -> Step:
    """A step whose result is kind's four archives, which together hold all ``images``.

    ``seeds`` ride along as they are at the time, and do not count as inputs: nodes that have
    the current image need no import, and a change of the service rebuilds no node image.
    """

    def build(out: Path, results: Mapping[str, Path]) -> None:
        bake(images, engine, results)
        for name, held in archives([*images, *(image for image, _ in seeds)]).items():
            names = {image.built_ref: image.ref for image in held}
            save(engine, out / f"{name}.tar", names)

    needs = {need.name: need for image in images for need in image.needs}
    inputs = tuple(f"{image.ref} {image.key}" for image in images)
    after = tuple(step for _, step in seeds)
    return Step("node-images", inputs, build, needs=tuple(needs.values()), after=after)


def archives(images: Sequence[Image]) -> dict[str, list[Image]]:
    """The images in each of kind's archives, which must not be empty.

    Those with a parent go into one, which then has the layers that they share once.
    """
    first, *others = _ARCHIVES
    apart = [image for image in images if image.parent is None][: len(others)]
    held = {first: [image for image in images if image not in apart]}
    return held | {name: [image] for name, image in zip(others, apart, strict=True)}


def node_image_step(
    base: Image, made: Step, images: Step, kubectl: Step, kind: Step, version: str, engine: Engine
) -> Step:
    """A step that leaves the node image in the engine; ``image.ref`` in its result names it.

    ``made`` is the step of its ``base``, ``images`` that of the archives in it.
    """
    needs = (made, images, kubectl, kind)
    key = Step("node-image", (version, base.key), lambda *_: None, needs=needs).key
    ref = f"docker.io/kindling/node:{version}-{key[:12]}"

    def build(out: Path, results: Mapping[str, Path]) -> None:
        server = out / "server.tar.gz"
        server_archive(server, results[kubectl.name], results[images.name], version)
        scratch = out / "tmp"
        scratch.mkdir()
        docker = scratch / "docker"
        docker.write_text(_NO_PULL.format(docker=shlex.quote(str(engine.docker))))
        docker.chmod(0o755)
        path = f"{scratch}{os.pathsep}{engine.env['PATH']}"
        command.run(
            [results[kind.name] / "kind", "build", "node-image", "--type=file",
             f"--image={ref}", f"--base-image={base.built_ref}", server],
            env={**engine.env, "PATH": path, "TMPDIR": str(scratch)},
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


def server_archive(target: Path, kubectl: Path, images: Path, version: str) -> None:
    """The layout of a Kubernetes server release; kind wants gzip and unpacks it at once."""
    below = "kubernetes/server/bin"
    with tarfile.open(target, "w:gz", compresslevel=0) as archive:
        texts = {
            "kubernetes/version": version,
            f"{below}/kubeadm": _BY_NAME,
            f"{below}/kubelet": _BY_NAME,
        }
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        archive.add(kubectl / "kubectl", f"{below}/kubectl")
        for name in _ARCHIVES:
            archive.add(images / f"{name}.tar", f"{below}/{name}.tar")
