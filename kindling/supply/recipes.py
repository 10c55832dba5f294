"""What ``supply: packages`` builds: one step or image for each thing, and what it is made of."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from kindling import paths
from kindling.errors import KindlingError
from kindling.supply import command, debian, go_caches, golang, nodejs, wheels
from kindling.supply.containers import IMAGES, Engine, Image, image_step
from kindling.supply.engine import programs as engine_programs
from kindling.supply.golang import Program
from kindling.supply.node import HELPER_SECONDS, MANIFESTS, images_step, write_manifests
from kindling.supply.store import Step
from kindling.supply.versions import Versions

_KUBE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
_KUBE_ON_NODES = ("kubeadm", "kubelet")
_NODE_PACKAGES = (
    "systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount",
    "kmod", "libseccomp2", "pigz", "fuse-overlayfs", "nfs-common", "open-iscsi", "e2fsprogs",
    "bash", "ca-certificates", "curl", "jq", "procps",
)  # fmt: skip
# libc-bin has C.UTF-8, without which onnxruntime opens no graph that makes text lower-case.
_PYTHON_PACKAGES = (
    "base-files", "dash", "coreutils", "findutils", "python3", "libstdc++6", "libc-bin",
    "ca-certificates", "netbase",
)  # fmt: skip
_POSTGRES_PACKAGES = ("base-files", "dash", "coreutils", "tzdata", "netbase", "postgresql-17")
# The just-in-time compiler, and Debian's scripts for clusters: two thirds of what would come along.
_POSTGRES_ASSUMED = (
    "libllvm19", "perl", "postgresql-common", "postgresql-client-common", "ssl-cert", "debconf",
    "adduser", "ucf",
)  # fmt: skip
_POSTGRES_EXPORTER_PACKAGES = ("base-files", "prometheus-postgres-exporter")
# What configures it as a service: it is one static program.
_POSTGRES_EXPORTER_ASSUMED = ("adduser", "debconf", "init-system-helpers")


class Programs:
    """The Go programs (and one in C). They need no engine."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    @cached_property
    def go(self) -> Step:
        return golang.toolchain()

    @cached_property
    def engine(self) -> Step:
        """A container engine with its client and buildx; it compiles nothing."""
        return engine_programs(self._versions)

    @cached_property
    def containerd(self) -> Step:
        base = "github.com/containerd/containerd/v2/cmd/"
        names = ("containerd", "containerd-shim-runc-v2", "ctr")
        packages = {n: base + n for n in names}
        # As kind's own build, and without what no node has: plugins in WebAssembly, Intel's RDT.
        tags = "no_btrfs no_devmapper no_zfs no_rdt nri_no_wasm"
        return self._program(Program("containerd", "cluster", packages, tags=tags))

    @cached_property
    def runc(self) -> Step:
        return self._program(
            Program(
                "runc",
                # A module of its own: it does not compile with the ebpf library that others need.
                "runc",
                {"runc": "github.com/opencontainers/runc"},
                # Static: this host's C library may be newer than that of Debian's nodes.
                ldflags="-linkmode external -extldflags -static"
                f" -X main.version={self._versions.build['runc']}",
                tags="seccomp netgo osusergo",
                cgo=True,
            ),
            after=(self.containerd,),
        )

    @cached_property
    def kind(self) -> Step:
        spec = Program("kind", "cluster", {"kind": "sigs.k8s.io/kind"})
        return self._program(spec, after=(self.own,))

    @cached_property
    def kubernetes(self) -> Step:
        """All that runs of Kubernetes, in one binary."""
        return self._program(
            Program(
                "kubernetes",
                "cluster",
                {"kubernetes": "./upstream/kubernetes"},
                ldflags=self._kubernetes_version,
                own_sources=("upstream/kubernetes",),
                links={"kubernetes": (*_KUBE, *_KUBE_ON_NODES)},
            ),
            # What both import is compiled once.
            after=(self.containerd,),
        )

    @cached_property
    def kubectl(self) -> Step:
        """A binary of its own: it starts far more often than the servers, whose start is slower."""
        spec = Program(
            "kubectl",
            "cluster",
            {"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
            ldflags=self._kubernetes_version,
        )
        return self._program(spec, after=(self.kubernetes,))

    @cached_property
    def components(self) -> Step:
        cni = "github.com/containernetworking/plugins/plugins/"
        packages = {
            "etcd": "go.etcd.io/etcd/server/v3",
            "coredns": "./upstream/coredns",
            "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
            "prometheus-adapter": "./cmd/prometheus-adapter",
            "local-path-provisioner": "github.com/rancher/local-path-provisioner",
            "ptp": cni + "main/ptp",
            "loopback": cni + "main/loopback",
            "host-local": cni + "ipam/host-local",
            "portmap": cni + "meta/portmap",
        }
        sources = ("upstream/coredns", "cmd/prometheus-adapter")
        spec = Program("components", "cluster", packages, own_sources=sources)
        return self._program(spec, after=(self.kubernetes,))

    @cached_property
    def helm(self) -> Step:
        version = f"-X helm.sh/helm/v3/internal/version.version={self._versions.tools['helm']}"
        # Without a cluster helm takes the version of Kubernetes that it was linked with.
        major, minor, _ = self._versions.kubernetes.removeprefix("v").split(".")
        for package in ("pkg/chartutil", "pkg/lint/rules"):
            version += f" -X helm.sh/helm/v3/{package}.k8sVersionMajor={major}"
            version += f" -X helm.sh/helm/v3/{package}.k8sVersionMinor={minor}"
        spec = Program("helm", "cluster", {"helm": "helm.sh/helm/v3/cmd/helm"}, ldflags=version)
        # The last: images do not wait for it, and their building leaves a processor free.
        return self._program(spec, after=(self.alertmanager,))

    @cached_property
    def monitoring(self) -> Step:
        """Prometheus and its tools. Of all that it can discover targets in, only Kubernetes."""
        prometheus = "github.com/prometheus/prometheus/cmd/"
        packages = {
            "prometheus": prometheus + "prometheus",
            "promtool": prometheus + "promtool",
            "node_exporter": "github.com/prometheus/node_exporter",
        }
        version = self._versions.images["prometheus"].upstream.rpartition(":v")[2]
        spec = Program(
            "monitoring",
            "cluster",
            packages,
            ldflags=f"-X github.com/prometheus/common/version.Version={version}",
            tags="remove_all_sd enable_kubernetes_sd",
            own_sources=("../openapi",),
        )
        return self._program(spec, after=(self.kubectl,))

    @cached_property
    def alertmanager(self) -> Step:
        version = self._versions.images["alertmanager"].upstream.rpartition(":v")[2]
        spec = Program(
            "alertmanager",
            "cluster",
            {"alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager"},
            ldflags=f"-X github.com/prometheus/common/version.Version={version}",
        )
        return self._program(spec, after=(self.monitoring,))

    @cached_property
    def own(self) -> Step:
        names = (
            "pod-network", "gpu-device-plugin", "alert-receiver", "kube-state-metrics",
            "dashboards",
        )  # fmt: skip
        sources = ("internal", *(f"cmd/{n}" for n in names))
        packages = {n: f"./cmd/{n}" for n in names}
        spec = Program("own-programs", "cluster", packages, own_sources=sources)
        return self._program(spec, after=(self.components,))

    @cached_property
    def pruned(self) -> Step:
        """Go's caches, cut down once all of these are built."""
        after = (
            self.containerd, self.runc, self.kind, self.kubernetes, self.kubectl, self.components,
            self.own, self.monitoring, self.alertmanager, self.helm, self.pause, self.kind_files,
        )  # fmt: skip

        def build(_: Path, results: Mapping[str, Path]) -> None:
            go_caches.prune(results[self.go.name])

        # Their keys: what is about to be built will want it, whatever the mark says now.
        return Step(
            "prune-go-caches", tuple(step.key for step in after), build, needs=(self.go,),
            after=after, present=lambda _: golang.pruned_mark().exists(),
        )  # fmt: skip

    @cached_property
    def pause(self) -> Step:
        def build(out: Path, results: Mapping[str, Path]) -> None:
            go = results[self.go.name]
            source = golang.module_dir(go, "cluster", "k8s.io/kubernetes")
            command.run(
                ["gcc", "-Os", "-static", "-Wall", "-DVERSION=3.10", "-o", out / "pause",
                 source / "build/pause/linux/pause.c"],
                what="compiling pause",
            )  # fmt: skip

        return Step("pause", (self._versions.kubernetes,), build, needs=(self.go,))

    @cached_property
    def kind_files(self) -> Step:
        """What kind's base and node images have of its own files, out of the kind module."""

        def build(out: Path, results: Mapping[str, Path]) -> None:
            source = golang.module_dir(results[self.go.name], "cluster", "sigs.k8s.io/kind")
            command.run(["cp", "-r", f"{source}/images/base/files/.", out])
            command.run(["chmod", "-R", "u+w", out])
            write_manifests(source, out / "kind" / "manifests")

        inputs = (self._versions.tools["kind"], *MANIFESTS.values(), str(HELPER_SECONDS))
        return Step("kind-files", inputs, build, needs=(self.go,))

    @cached_property
    def dashboards_page(self) -> Step:
        """The page of the dashboards' viewer."""
        return nodejs.page("dashboards-page", IMAGES / "dashboards", nodejs.toolchain())

    def _program(self, spec: Program, *, after: tuple[Step, ...] = ()) -> Step:
        return golang.program(spec, self.go, after=after)

    @property
    def _kubernetes_version(self) -> str:
        version = self._versions.kubernetes
        major, minor, _ = version.removeprefix("v").split(".")
        values = {
            "gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
            "gitCommit": "kindling", "buildDate": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in values.items())


class Containers:
    """The images, which an engine builds."""

    def __init__(self, versions: Versions, programs: Programs, engine: Engine) -> None:
        self._versions = versions
        self._programs = programs
        self._engine = engine

    def node(self, seeds: Sequence[tuple[Image, Step]]) -> Step:
        """Kind's node image, with the images of add-ons and ``seeds`` baked in."""
        programs = self._programs
        base = Image(
            "node-base",
            {
                "kind": programs.kind_files,
                "containerd": programs.containerd,
                "runc": programs.runc,
                "cni": programs.components,
                "kubernetes": programs.kubernetes,
            },
            root=self._debian("debian-node", _NODE_PACKAGES, bootable=True),
        )
        images = images_step([*self._in_node(), *self.addons.values()], self._engine, seeds)
        image = Image(
            "node",
            {"kubectl": programs.kubectl, "kind": programs.kind_files, "images": images},
            args={"BASE": base.built_ref, "KUBERNETES": self._versions.kubernetes},
        )
        return image_step(image, self._engine, image_step(base, self._engine))

    @cached_property
    def addons(self) -> dict[str, Image]:
        """Images of add-ons that charts install."""
        programs = self._programs
        pinned = self._versions.images
        database = self._debian("debian-postgres", _POSTGRES_PACKAGES, assumed=_POSTGRES_ASSUMED)
        exporter = self._debian(
            "debian-postgres-exporter", _POSTGRES_EXPORTER_PACKAGES,
            assumed=_POSTGRES_EXPORTER_ASSUMED,
        )  # fmt: skip
        made_of: dict[str, tuple[dict[str, Step], Step | None]] = {
            "metrics-server": ({"bin": programs.components}, None),
            "prometheus-adapter": ({"bin": programs.components}, None),
            "postgres": ({}, database),
            "postgres-exporter": ({}, exporter),
            "prometheus": ({"bin": programs.monitoring}, None),
            "alertmanager": ({"bin": programs.alertmanager}, None),
            "node-exporter": ({"bin": programs.monitoring}, None),
            "kube-state-metrics": ({"bin": programs.own}, None),
            "gpu-device-plugin": ({"bin": programs.own}, None),
            "alert-receiver": ({"bin": programs.own}, None),
            "dashboards": ({"bin": programs.own, "page": programs.dashboards_page}, None),
        }
        sources = {"prometheus": (IMAGES / "prometheus" / "index.html",)}
        return {
            name: Image(
                name, contexts, root, pinned[name].upstream if name in pinned else "",
                sources=sources.get(name, ()),
            )
            for name, (contexts, root) in made_of.items()
        }  # fmt: skip

    @cached_property
    def python(self) -> Image:
        """The base of Python images, where none can be pulled."""
        return Image("python", root=self._debian("debian-python", _PYTHON_PACKAGES))

    def on_python(self, python: str, digest: str = "") -> list[Image]:
        """Our own images on the base image ``python``, which has ``digest`` if one is known."""
        return [
            self._of_repository(paths.REPOSITORY / "service", python, digest),
            *(self._of_folder(name, python, digest) for name in ("mlflow", "drift")),
        ]

    def also(self, names: Sequence[str], python: str, digest: str = "") -> list[Image]:
        """Images on ``python`` that not every cluster needs; the load generator is the only one.

        Raises KindlingError for another name.
        """
        known = {"load-generator": IMAGES / "load-generator"}
        if unknown := sorted(set(names) - known.keys()):
            raise KindlingError(
                f"there is no image {', '.join(unknown)}",
                next_step=f"set images_also to names of {', '.join(known)}",
            )
        return [self._of_repository(known[name], python, digest) for name in names]

    def importer(self, python: str, digest: str = "") -> Image:
        """The converter of other people's models, which runs beside a cluster and not in it."""
        return self._of_folder("importer", python, digest)

    @staticmethod
    def _of_repository(folder: Path, python: str, digest: str) -> Image:
        """An image whose Dockerfile takes some of the repository."""
        return Image(
            folder.name,
            {"uv": wheels.uv_step()},
            args={"PYTHON_IMAGE": python},
            base=digest,
            sources=allowed(folder),
            dockerfile=folder / "Dockerfile",
        )

    @staticmethod
    def _of_folder(name: str, python: str, digest: str) -> Image:
        """An image of what is in its own folder."""
        return Image(
            name,
            {"uv": wheels.uv_step()},
            args={"PYTHON_IMAGE": python},
            base=digest,
            sources=_python_sources(IMAGES / name),
        )

    def _in_node(self) -> list[Image]:
        programs, names = self._programs, self._versions.node_images
        kubernetes = Image("kubernetes", {"bin": programs.kubernetes})
        filters = self._debian("debian-kube-proxy", ("base-files", "iptables", "nftables"))
        made_of: dict[str, tuple[Step, Step | None]] = {
            "pause": (programs.pause, None),
            "etcd": (programs.components, None),
            "coredns": (programs.components, None),
            "kindnetd": (programs.own, None),
            "local-path-provisioner": (programs.components, None),
            "local-path-helper": (
                programs.own,
                self._debian("debian-busybox", ("base-files", "busybox-static")),
            ),
        }
        return [
            *(
                Image(
                    name, root=filters if name == "kube-proxy" else None, upstream=names[name],
                    parent=kubernetes,
                )
                for name in _KUBE
            ),
            *(
                Image(name, {"bin": program}, root, names[name])
                for name, (program, root) in made_of.items()
            ),
        ]  # fmt: skip

    def _debian(
        self,
        name: str,
        packages: tuple[str, ...],
        *,
        bootable: bool = False,
        assumed: tuple[str, ...] = (),
    ) -> Step:
        build = self._versions.build
        suite, revision = build["debian"], build["debian_revision"]
        return debian.root(name, suite, revision, packages, bootable=bootable, assumed=assumed)


def _python_sources(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted([*folder.glob("*.py"), folder / "requirements.txt"]))


def allowed(folder: Path) -> tuple[Path, ...]:
    """What the Dockerfile in ``folder`` finds of the repository: all that is not ignored there."""
    lines = (folder / "Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line[1:] for line in lines if line.startswith("!")]
    return tuple(sorted(file for one in patterns for file in paths.REPOSITORY.glob(one)))


def machine() -> str:
    """The architecture in Go's words: amd64 or arm64."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return names.get(platform.machine(), platform.machine())
