"""Container images: built by BuildKit from the Dockerfiles under ``images``, kept as archives."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kindling import paths, pip_config, retry
from kindling.errors import KindlingError
from kindling.supply import build_context, command
from kindling.supply.store import Step, hash_files

IMAGES = paths.REPOSITORY / "images"
# gzip takes twice the processor time for larger layers. An engine with a store of another kind
# ignores these words. The first level takes half the time of the usual one for 7 % more.
_OUTPUT = "type=image,compression=zstd,compression-level=1,oci-mediatypes=true"
_CONTENT = "containerd/daemon/io.containerd.content.v1.content/blobs"
_INDEX = "KINDLING_BUILD_INDEX"
# Another image than one that was built when contexts still had the modes of files in checkouts.
_CONTEXTS = "contexts=normalized"


@dataclass(frozen=True)
class Engine:
    """A Docker engine: its client, its address, and buildx as the words that call it."""

    docker: Path
    host: str
    buildx: tuple[str, ...] = ("docker", "buildx")

    @property
    def env(self) -> dict[str, str]:
        """The environment that makes every client talk to this engine."""
        return {
            "DOCKER_HOST": self.host,
            "PATH": f"{self.docker.parent}{os.pathsep}{os.environ['PATH']}",
        }

    def run(
        self,
        *args: str | Path,
        what: str = "",
        stdin: str | None = None,
        again: retry.Policy | None = None,
    ) -> str:
        """``docker ARGS``; raises KindlingError with docker's last lines when it fails."""
        words = [self.docker, *args]
        return command.run(words, env=self.env, what=what, stdin=stdin, again=again)

    def has_image(self, ref: str) -> bool:
        """Whether the engine holds the image ``ref``."""
        if ref in self._held_at_first:
            return True
        try:
            # Not `image ls REF`: with containerd's store, Docker 26 finds no name with docker.io.
            self.run("image", "inspect", "--format={{.Id}}", ref)
        except KindlingError as error:
            if "no such image" in error.message.lower():
                return False
            raise
        return True

    @cached_property
    def content(self) -> Path | None:
        """Where the engine keeps the content of images by its digest; None if not in our reach."""
        about = json.loads(self.run("info", "--format={{json .}}"))
        if ["driver-type", "io.containerd.snapshotter.v1"] not in (about["DriverStatus"] or []):
            return None
        # A containerd that it shares with others, or another host, has it elsewhere.
        folder = Path(about["DockerRootDir"], _CONTENT)
        return folder if os.access(folder / "sha256", os.R_OK | os.X_OK) else None

    @cached_property
    def _held_at_first(self) -> frozenset[str]:
        listed = self.run("image", "ls", "--format={{.Repository}}:{{.Tag}}")
        return frozenset(_full(tag) for tag in listed.split())

    def digests_of(self, ref: str) -> set[str]:
        """The digests under which registries know the image ``ref``, which is here."""
        listed = self.run("image", "inspect", "--format={{json .RepoDigests}}", ref)
        return {name.partition("@")[2] for name in json.loads(listed) or []}

    def label_of(self, ref: str, label: str) -> str:
        """The value of ``label`` on the image ``ref``, which is here; empty without it."""
        template = f'--format={{{{index .Config.Labels "{label}"}}}}'
        return self.run("image", "inspect", template, ref).strip()


@dataclass(frozen=True)
class Image:
    """One Dockerfile and what it is built from.

    ``contexts`` maps the names that its ``COPY --from=`` uses to steps; ``root`` is the step
    whose result is the build context, where the Dockerfile adds a root file system; without one
    the context is ``sources``, what the Dockerfile copies of the repository. ``parent`` is
    the image that its ``FROM`` names by folder, built along with it: children share its layers.
    ``upstream`` is what the image is called where it is used; by default kindling/FOLDER:HASH.
    ``base`` tells of the base image what its name, among the ``args``, does not: its digest.
    """

    folder: str
    contexts: Mapping[str, Step] = field(default_factory=dict)
    root: Step | None = None
    upstream: str = ""
    parent: Image | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    base: str = ""
    dockerfile: Path | None = None
    sources: tuple[Path, ...] = ()

    @property
    def needs(self) -> tuple[Step, ...]:
        """The steps whose results go into the image."""
        own = (*self.contexts.values(), *([self.root] if self.root else []))
        return (*own, *(self.parent.needs if self.parent else ()))

    @property
    def file(self) -> Path:
        """The Dockerfile."""
        return self.dockerfile or IMAGES / self.folder / "Dockerfile"

    @property
    def key(self) -> str:
        """Twelve hex digits that change when anything in the image changes."""
        parts = [hash_files(self.file, *self.sources), *(step.key for step in self.needs)]
        parts += [f"{k}={v}" for k, v in sorted(self.args.items())] + [self.base]
        parts += [self.parent.key] if self.parent else []
        parts += [_CONTEXTS]
        return Step(self.folder, tuple(parts), lambda *_: None).key[:12]

    @property
    def built_ref(self) -> str:
        """The name under which the engine holds it."""
        return f"docker.io/kindling/{self.folder}:{self.key}"

    @property
    def ref(self) -> str:
        """The name under which a cluster asks for it."""
        return self.upstream or self.built_ref


def bake(images: Sequence[Image], engine: Engine, results: Mapping[str, Path], work: Path) -> None:
    """Build ``images`` at once; the engine then holds each under its ``built_ref``.

    Contexts lie in the folder ``work`` meanwhile.
    """
    secrets, secret_env = _secrets()
    parents = {image.parent.folder: image.parent for image in images if image.parent}
    together = [*parents.values(), *images]
    for step in {need.name: need for image in together for need in image.needs}.values():
        build_context.normalize(results[step.name])
    with tempfile.TemporaryDirectory(prefix="contexts-", dir=work) as staged:
        targets = {
            image.folder: _target(image, results, Path(staged)) | {"secret": secrets}
            for image in together
        }
        plan = {"group": {"default": {"targets": list(targets)}}, "target": targets}
        switches = {"BUILDX_BAKE_ENTITLEMENTS_FS": "0", "DOCKER_BUILDKIT": "1"}
        command.run(
            [*engine.buildx, "bake", "--progress=plain", "--file", "-"],
            stdin=json.dumps(plan),
            env={**engine.env, **switches} | secret_env,
            what=f"building {', '.join(targets) if len(targets) < 4 else f'{len(targets)} images'}",
            # Finished stages stay in BuildKit's cache: only what failed is built again.
            again=retry.NETWORK,
        )


def _target(image: Image, results: Mapping[str, Path], staged: Path) -> dict[str, Any]:
    """``image`` as bake reads it; what it takes of the repository is copied below ``staged``."""
    contexts = {name: str(results[step.name]) for name, step in image.contexts.items()}
    if image.parent:
        contexts[image.parent.folder] = f"target:{image.parent.folder}"
    if image.root:
        context = results[image.root.name]
    else:
        root = paths.REPOSITORY if image.dockerfile else image.file.parent
        context = build_context.stage(image.sources, root, staged / image.folder)
    return {
        "context": str(context),
        "dockerfile": str(image.file),
        "contexts": contexts,
        "args": dict(image.args),
        "tags": [image.built_ref],
        "labels": {"app.kubernetes.io/part-of": "kindling"},
        "output": [_OUTPUT],
    }


def _secrets() -> tuple[list[str], dict[str, str]]:
    """A company's TLS authority and package index: builds see them, and no image has them."""
    secrets, env = [], {}
    if ca_bundle := paths.ca_bundle():
        secrets.append(f"id=ca,src={ca_bundle}")
    if index := pip_config.uv_toml(pip_config.load()):
        # By the environment: an address may have a password in it, and goes into no file.
        env[_INDEX] = index
        secrets.append(f"id=uv,env={_INDEX}")
    return secrets, env


def image_step(image: Image, engine: Engine, base: Step | None = None) -> Step:
    """A step that leaves ``image`` in the engine; ``base`` is the step of its base image."""

    def build(out: Path, results: Mapping[str, Path]) -> None:
        bake([image], engine, results, out)
        (out / "image.ref").write_text(image.built_ref)

    needs = (*image.needs, *([base] if base else []))
    return Step(
        f"{image.folder}-image",
        (image.key,),
        build,
        needs=needs,
        present=lambda _: engine.has_image(image.built_ref),
    )


def save(engine: Engine, target: Path, names: Mapping[str, str]) -> None:
    """Write one archive with the images that ``engine`` has under the keys of ``names``.

    In the archive they bear the values. Where the engine's content is in reach it is read there:
    ``docker save`` hands it over in small pieces, and takes ten times as long.
    """
    if engine.content:
        # A part that is elsewhere: the engine knows where.
        with suppress(FileNotFoundError):
            _write_content(engine, engine.content, target, names)
            return
    raw = target.with_suffix(".raw")
    engine.run("save", "--output", raw, *names, what="docker save")
    retag(raw, target, names)
    raw.unlink()


def _write_content(engine: Engine, content: Path, target: Path, names: Mapping[str, str]) -> None:
    manifest: list[dict[str, Any]] = []
    blobs: dict[str, Path] = {}
    for name, described in zip(names.values(), manifests(engine, content, names), strict=True):
        config, *layers = (
            f"blobs/{one['digest'].replace(':', '/')}"
            for one in (described["config"], *described["layers"])
        )
        manifest.append({"Config": config, "RepoTags": [name], "Layers": layers})
        blobs |= {blob: content.parent / blob for blob in (config, *layers)}
    with tarfile.open(target, "w") as archive:
        _add_names(archive, manifest)
        for name, file in blobs.items():
            archive.add(file, name)


def manifests(engine: Engine, content: Path, refs: Iterable[str]) -> list[Any]:
    """The manifests of the images ``refs``, whose content is in ``content``.

    Raises FileNotFoundError where a part is elsewhere.
    """
    listed = engine.run("image", "inspect", "--format={{.Id}}", *refs).split()
    return [_manifest(content, digest) for digest in listed]


def _manifest(content: Path, digest: str) -> Any:
    """The manifest with that digest, or of the platform that is here of the index with it.

    Raises FileNotFoundError where none is.
    """
    file = content / digest.replace(":", "/")
    found = json.loads(file.read_text())
    if "manifests" not in found:
        return found
    for one in found["manifests"]:
        # Of other platforms an engine pulls nothing; an attestation is of no platform.
        here = (content / one["digest"].replace(":", "/")).exists()
        if here and one.get("platform", {}).get("os") != "unknown":
            return _manifest(content, one["digest"])
    raise FileNotFoundError(file)


def retag(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """Copy a ``docker save`` archive, giving its images other names."""
    with tarfile.open(source) as old:
        manifest = json.load(_member(old, "manifest.json"))
        for entry in manifest:
            entry["RepoTags"] = [names[_full(tag)] for tag in entry["RepoTags"]]
        used = {part for entry in manifest for part in (entry["Config"], *entry["Layers"])}
        with tarfile.open(target, "w") as new:
            _add_names(new, manifest)
            for member in old:
                if member.name in used:
                    new.addfile(member, old.extractfile(member))


def _add_names(archive: tarfile.TarFile, manifest: Sequence[Mapping[str, Any]]) -> None:
    """Begin an archive with what its images are called."""
    data = json.dumps(manifest).encode()
    info = tarfile.TarInfo("manifest.json")
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _member(archive: tarfile.TarFile, name: str) -> Any:
    file = archive.extractfile(name)
    assert file is not None
    return file


def _full(tag: str) -> str:
    return tag if tag.split("/", 1)[0].count(".") else f"docker.io/{tag}"
