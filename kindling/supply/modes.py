"""The four ways in which images and tools come, and how ``auto`` chooses among them."""

from __future__ import annotations

import http
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kindling import paths, progress, retry, web
from kindling.engine import own_containerd, own_pid
from kindling.errors import KindlingError
from kindling.supply import command, tools, unpacked
from kindling.supply.containers import Engine, image_step
from kindling.supply.engine import BUILDX
from kindling.supply.recipes import Containers, Programs
from kindling.supply.store import Step, Store, build_all, wanted
from kindling.supply.versions import Pinned, Versions

MODES = ("auto", "bundle", "mirror", "registry", "packages")
_IMAGES_OF_CHARTS = (
    "service", "mlflow", "postgres", "postgres-exporter", "metrics-server", "prometheus",
    "prometheus-adapter", "alertmanager", "alert-receiver", "node-exporter", "kube-state-metrics",
    "gpu-device-plugin", "drift", "dashboards",
)  # fmt: skip
# Results that are within those of other steps: what made them is not asked for again.
_ONLY_FOR_BUILDS = ("node-images", "nodejs")
# The image of nodes, and the base of images that are built later.
_RUN_HERE = ("kindling/node:", "kindling/python:")
_PROBE_SECONDS = 4.0
# A registry that is overlooked costs half an hour of building; a name that does not exist stays so.
_AUTO = retry.Policy(
    retry.NETWORK.transient,
    re.compile(f"{retry.NETWORK.permanent.pattern}|name or service not known", re.IGNORECASE),
    pauses=(1, 3),
)
_NOT_YET = "(not made yet)"
_NETWORK_LABEL, _OWN_NETWORK = "dev.kindling.pod-network", "kindling-ptp"


@dataclass
class Supplied:
    """What a cluster needs, by name, and what had to be made or fetched for it."""

    mode: str
    why: str
    node_image: str
    images: dict[str, str]
    tools: dict[str, str]
    kubernetes_version: str
    pod_network: dict[str, object]
    mirror: str = ""
    made: list[str] = field(default_factory=list)


def unknown(mode: str, why: str, versions: Versions, also: Sequence[str] = ()) -> Supplied:
    """What can be said of ``mode`` while no engine is there to ask."""
    images = dict.fromkeys((*_IMAGES_OF_CHARTS, *also), _NOT_YET)
    tool_paths = dict.fromkeys(("kind", "kubectl", "helm"), _NOT_YET)
    return Supplied(mode, why, _NOT_YET, images, tool_paths, versions.kubernetes, {})


def choose(wanted: str, mirror: str, versions: Versions, running: str = "") -> tuple[str, str]:
    """The supply to use and the reason, in words. ``wanted`` is one of ``MODES``.

    ``running`` is the supply that the cluster which runs was made with, to which ``auto`` keeps.
    Raises KindlingError when the supply that was asked for cannot be reached.
    """
    if wanted == "auto" and running:
        return running, "the cluster was made with it"
    if wanted == "bundle":
        raise KindlingError(
            "this version cannot install from a bundle yet",
            next_step="nox -s cluster-up -- -e images_supply=auto",
        )
    if wanted == "packages":
        return "packages", "the inventory asks for it"
    if wanted == "mirror" or (wanted == "auto" and mirror):
        if not mirror:
            raise KindlingError(
                "images_supply is mirror, but images_mirror is empty",
                next_step="set images_mirror to host:port in the inventory",
            )
        silence = _silence(mirror, retry.NETWORK)
        if not silence:
            return "mirror", f"the mirror {mirror} answers"
        if wanted == "mirror":
            raise _unreachable(f"the mirror {mirror}", silence)
    hosts = sorted({registry_of(image.upstream) for image in versions.images.values()})
    policy = retry.NETWORK if wanted == "registry" else _AUTO
    with ThreadPoolExecutor() as pool:
        silences = pool.map(lambda host: _silence(host, policy), hosts)
        silent = [(host, why) for host, why in zip(hosts, silences, strict=True) if why]
    if wanted == "registry" and silent:
        raise _unreachable(f"the image registry {silent[0][0]}", silent[0][1])
    if not silent:
        return "registry", "the inventory asks for it" if wanted == "registry" else "it answers"
    return "packages", f"{silent[0][0]} does not answer"


def pod_network(label: str) -> dict[str, object]:
    """The pod network of a node image with this ``dev.kindling.pod-network`` label, or without."""
    return {"name": label or "kindnet", "enforces_network_policy": not label}


def registry_of(ref: str) -> str:
    """The registry host of a full image name."""
    return ref.split("/", 1)[0]


def is_loopback(host: str) -> bool:
    """Whether ``host``, with or without a port, is this machine's own loopback."""
    return host.split(":")[0] in ("127.0.0.1", "localhost")


def registry_answers(host: str) -> bool:
    """Whether a registry answers at ``host`` now. Loopback is asked without TLS."""
    try:
        _ask(host)
    except KindlingError:
        return False
    return True


def _silence(host: str, policy: retry.Policy) -> str:
    """Why no registry answers at ``host``, also when asked again; empty where one does."""
    try:
        retry.call(lambda: _ask(host), policy)
    except KindlingError as error:
        return error.message
    return ""


def _ask(host: str) -> None:
    address = "registry-1.docker.io" if host == "docker.io" else host
    local = is_loopback(host)
    opener = web.without_proxy() if local else urllib.request.build_opener()
    try:
        opener.open(f"http{'' if local else 's'}://{address}/v2/", timeout=_PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.UNAUTHORIZED:
            raise KindlingError(str(error)) from None
    except (*web.NO_ANSWER, ValueError) as error:
        raise KindlingError(str(error) or type(error).__name__) from None


class Supplier:
    """Fetches or builds everything for one mode; what is there already costs nothing."""

    def __init__(self, versions: Versions, docker: Path, host: str, check: bool = False) -> None:
        """With ``check`` nothing is made; ``Supplied.made`` tells what would be."""
        self._versions = versions
        self._programs = Programs(versions)
        self._store = Store(paths.store_dir())
        self._docker, self._host = docker, host
        self._check = check
        self._made: list[str] = []
        self._before_build: Callable[[], None] = lambda: None
        self._prepared = False

    def supply(
        self,
        mode: str,
        why: str,
        mirror: str = "",
        *,
        also: Sequence[str] = (),
        before_build: Callable[[], None] = lambda: None,
    ) -> Supplied:
        """Make sure that images and tools are there, and say where.

        ``also`` are images that not every cluster needs. ``before_build`` is called once if
        anything must be built.
        """
        if not self._check:
            self._store.clean_work()
        self._before_build = before_build
        if mode == "packages":
            return self._from_packages(why, also)
        return self._pulled(mode, why, mirror, also)

    def importer(self, mode: str, mirror: str = "") -> str:
        """The image of the converter, made now unless it is there; returns its name.

        ``mode`` is one that a cluster was made with.
        """
        engine = self._engine()
        containers = Containers(self._versions, self._programs, engine)
        if mode == "packages":
            base = image_step(containers.python, engine)
            image = containers.importer(containers.python.built_ref)
            self._build([image_step(image, engine, base)])
            return image.built_ref
        pinned = self._versions.images["python"]
        self._pull(engine, pinned, mirror)
        image = containers.importer(pinned.upstream, pinned.digest)
        self._build([image_step(image, engine)])
        return image.built_ref

    def leftovers(self) -> list[Path]:
        """What builds left in the store that only they needed; none once it is pruned."""
        return [path for step in _ONLY_FOR_BUILDS for path in self._store.results(step)]

    def prune(self) -> None:
        """Remove what only builds needed: of the store, and BuildKit in our engine.

        Call it when all is built that will be.
        """
        if own_pid() is not None:
            engine = self._engine()
            command.run([*engine.buildx, "prune", "--all", "--force"], env=engine.env)
            ctr = self._store.path(self._programs.containerd) / "ctr"
            # All that a failure costs is room.
            with suppress(KindlingError, FileNotFoundError):
                unpacked.remove(engine, ctr, own_containerd(), _RUN_HERE)
        # The last: while they are there, something is left to prune.
        for path in self.leftovers():
            shutil.rmtree(path)

    def _from_packages(self, why: str, also: Sequence[str]) -> Supplied:
        versions, programs, engine = self._versions, self._programs, self._engine()
        containers = Containers(versions, programs, engine)
        python = image_step(containers.python, engine)
        on_python = containers.on_python(containers.python.built_ref)
        extra = containers.also(also, containers.python.built_ref)
        seeds = [(image, image_step(image, engine, python)) for image in on_python]
        node = containers.node(seeds)
        found = {name: tool.on_path() for name, tool in self._catalogue().items()}
        missing = [step for name, step in self._tool_steps().items() if found[name] is None]
        # One list of targets: Debian and Python packages arrive while Go compiles.
        extra_steps = [image_step(image, engine, python) for image in extra]
        seeded = [step for _, step in seeds]
        self._build([node, *seeded, *extra_steps, *missing, programs.pruned])
        return Supplied(
            "packages",
            why,
            self._node_ref(node),
            {
                image.folder: image.ref
                for image in [*on_python, *extra, *containers.addons.values()]
            },
            {name: str(path or self._built(name)) for name, path in found.items()},
            versions.kubernetes,
            pod_network(_OWN_NETWORK),
            made=self._made,
        )

    def _pulled(self, mode: str, why: str, mirror: str, also: Sequence[str]) -> Supplied:
        engine, pinned = self._engine(), self._versions.images
        had = [name for name, image in pinned.items() if self._pull(engine, image, mirror)]
        containers = Containers(self._versions, self._programs, engine)
        own = [image for image in containers.addons.values() if not image.upstream]
        if "grafana" in had:
            own = [image for image in own if image.folder != "dashboards"]
        python = pinned["python"]
        built = [
            *own,
            *containers.on_python(python.upstream, python.digest),
            *containers.also(also, python.upstream, python.digest),
        ]
        self._build([image_step(image, engine) for image in built])
        images = {name: pinned[name].upstream for name in had if name not in ("node", "python")}
        images |= {image.folder: image.ref for image in built}
        return Supplied(
            mode,
            why,
            pinned["node"].upstream,
            images,
            self._tools(),
            self._versions.kubernetes,
            pod_network(self._network_label(engine, pinned["node"].upstream)),
            mirror,
            self._made,
        )

    def _network_label(self, engine: Engine, node_image: str) -> str:
        # A mirror may serve node images that were built here.
        if self._check and not engine.has_image(node_image):
            return ""
        return engine.label_of(node_image, _NETWORK_LABEL)

    def _node_ref(self, node: Step) -> str:
        file = self._store.path(node) / "image.ref"
        return file.read_text() if file.exists() else _NOT_YET

    def _catalogue(self) -> dict[str, tools.Tool]:
        return tools.catalogue(self._versions.kubernetes, self._versions.tools)

    def _tool_steps(self) -> dict[str, Step]:
        return _tool_steps(self._programs)

    def _built(self, tool: str) -> Path:
        return self._store.path(self._tool_steps()[tool]) / tool

    def _tools(self) -> dict[str, str]:
        """kind, kubectl and helm: the user's, what is in the cache, else downloaded or built."""
        found = {name: self._tool_there(name, tool) for name, tool in self._catalogue().items()}
        missing = [name for name, path in found.items() if path is None]
        if self._check:
            self._made += missing
            return {name: str(path or _NOT_YET) for name, path in found.items()}
        for name in missing:
            found[name] = tools.download(self._catalogue()[name])
            if found[name]:
                self._made.append(name)
        self._build([step for name, step in self._tool_steps().items() if not found[name]])
        return {name: str(path or self._built(name)) for name, path in found.items()}

    def _tool_there(self, name: str, tool: tools.Tool) -> Path | None:
        there = (tool.on_path(), tools.cached(tool), self._built(name))
        return next((path for path in there if path and path.exists()), None)

    def _pull(self, engine: Engine, image: Pinned, mirror: str) -> bool:
        """Whether the engine has the image, now or with ``check`` then."""
        if engine.has_image(image.upstream) and (
            not image.digest or image.digest in engine.digests_of(image.upstream)
        ):
            return True
        source = f"{mirror}/{image.ref.split('/', 1)[1]}" if mirror else image.ref
        if not self._check:
            try:
                with progress.step(f"pull {image.upstream}"):
                    what = f"pulling {source}"
                    engine.run("pull", "--quiet", source, what=what, again=retry.NETWORK)
                    engine.run("tag", source, image.upstream)
            except KindlingError:
                if not image.optional:
                    raise
                return False
        self._made.append(image.upstream)
        return True

    def _build(self, steps: list[Step]) -> None:
        todo = wanted(steps, self._store)
        if self._check or not todo:
            self._made += [step.name for step in todo]
            return
        if not self._prepared:
            self._before_build()
            self._prepared = True
        self._made += build_all(steps, self._store, workers=(os.cpu_count() or 2) + 1)

    def _engine(self) -> Engine:
        """The engine with a buildx: the client's own plugin, else one out of Debian's packages."""
        plugin = subprocess.run([self._docker, "buildx", "version"], capture_output=True)
        if plugin.returncode == 0:
            return Engine(self._docker, self._host, (str(self._docker), "buildx"))
        own = shutil.which("docker-buildx")
        if own is None:
            programs = self._programs.engine
            if not self._check:
                self._made += build_all([programs], self._store, workers=1)
            own = str(self._store.path(programs) / BUILDX)
        return Engine(self._docker, self._host, (own,))


def built_tools(versions: Versions) -> dict[str, Path]:
    """Where the tools lie that are built here, whether or not they are there yet."""
    store = Store(paths.store_dir())
    steps = _tool_steps(Programs(versions))
    return {name: store.path(step) / name for name, step in steps.items()}


def _tool_steps(programs: Programs) -> dict[str, Step]:
    return {"kubectl": programs.kubectl, "kind": programs.kind, "helm": programs.helm}


def _unreachable(what: str, why: str) -> KindlingError:
    return KindlingError(
        f"{what} does not answer: {why}",
        next_step="nox -s cluster-up -- -e images_supply=packages, or nox -s doctor",
    )
