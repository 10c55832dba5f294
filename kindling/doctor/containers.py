"""The container engine, its image store, and whether privileged containers start."""

from __future__ import annotations

from pathlib import Path

from kindling.doctor.check import Check, fail, ok, skip, warn
from kindling.doctor.context import Context
from kindling.errors import KindlingError

_LABEL = "io.x-k8s.kind.cluster"


def engine(context: Context) -> Check:
    """Which engine answers where, or what ``cluster-up`` will do about it."""
    name, state = "engine", context.engine
    if state.info:
        if any("rootless" in option for option in state.info.get("SecurityOptions") or []):
            return warn(
                name,
                f"rootless Docker at {state.host}",
                "start a Docker that runs as root: nodes need delegated control groups",
            )
        driver = state.info.get("Driver", "?")
        return ok(name, f"{state.host}, version {state.info['ServerVersion']}, store {driver}")
    if other := _other_endpoint(context):
        return warn(name, f"{state.host}: {state.why}", f"export DOCKER_HOST={other}")
    source = str(context.settings.get("engine_source", "auto"))
    can_install = context.machine.uid == 0 and context.machine.which("apt-get") is not None
    systemd = (context.machine.root / "run/systemd/system").exists()
    if context.machine.which("dockerd") and systemd:
        return fail(name, f"{state.host}: {state.why}", "sudo systemctl start docker")
    if source == "none" or not can_install:
        return fail(
            name,
            f"{state.host}: {state.why}",
            "install and start Docker, or run as root on Debian or Ubuntu with engine_source auto",
        )
    return ok(name, f"none answers ({state.why}): cluster-up installs and starts one")


def privileged(context: Context) -> Check:
    """Whether a privileged container starts: kind's nodes are such containers."""
    name, state = "privileged containers", context.engine
    if not state.info or state.docker is None:
        return skip(name, "no engine answers yet; cluster-up tests the one that it starts")
    running = context.docker("ps", f"--filter=label={_LABEL}", "--format={{.Names}}")
    if running and running.split():
        return ok(name, f"{running.split()[0]} is one and runs")
    try:
        context.machine.prove_privileged(Path(state.docker), state.host)
    except KindlingError as error:
        return fail(
            name,
            error.message,
            "start an engine that may run them: no rootless one, no container without --privileged",
        )
    return ok(name, "one was started and ended well")


def network(context: Context) -> Check:
    """Whether a container on the default network reaches where packages come from."""
    name, state = "container network", context.engine
    if not state.info or state.docker is None:
        return skip(name, "no engine answers yet; cluster-up tests the one that it starts")
    target = context.machine.package_index()
    if target is None:
        return skip(name, "pip is configured with no index, so builds need no network")
    try:
        context.machine.prove_network(Path(state.docker), state.host, target)
    except KindlingError as error:
        owned = context.facts.get("engine", {}).get("owned")
        fix = "nox -s cluster-up restarts it" if owned else error.next_step
        # What is built already needs no network, which may be all.
        return (warn if context.has_cluster or owned else fail)(name, error.message, fix)
    return ok(name, f"a container reaches {target[0]}")


def image_store(context: Context) -> Check:
    """Traits of the engine's store that surprise."""
    name, state = "image store", context.engine
    if not state.info:
        return skip(name, "no engine answers")
    driver = str(state.info.get("Driver", ""))
    if driver == "vfs":
        return warn(name, "vfs: every layer is a full copy", "use overlay2 as storage driver")
    status = [str(value) for pair in state.info.get("DriverStatus") or [] for value in pair]
    if any("containerd.snapshotter" in value for value in status):
        return warn(
            name,
            f"containerd's ({driver})",
            "nothing for Kindling, which imports archives; your own `kind load docker-image` "
            "can fail",
        )
    return ok(name, driver)


def same_name(context: Context) -> Check:
    """Node containers of the cluster's name that are not ours, or not complete."""
    name, cluster, facts = "cluster", context.settings.cluster_name, context.facts
    listed = context.docker(
        "ps", "--all", f"--filter=label={_LABEL}={cluster}", "--format={{.Names}}"
    )
    if listed is None:
        if facts:
            return warn(
                name, f"{cluster} is recorded, but its engine does not answer", "nox -s cluster-up"
            )
        return skip(name, "no engine answers")
    found = sorted(listed.split())
    if found and not facts:
        return fail(
            name,
            f"{cluster} is there ({', '.join(found)}), but Kindling did not make it",
            f"kind delete cluster --name {cluster}, or set cluster_name in the inventory",
        )
    if found and not context.has_cluster:
        return warn(
            name,
            f"an interrupted run left {len(found)} nodes of {cluster}",
            "nox -s cluster-up (it removes them and starts again)",
        )
    if context.has_cluster and not found:
        return warn(name, f"{cluster} is recorded, but its nodes are gone", "nox -s cluster-up")
    return ok(name, f"{cluster} is ours, {len(found)} nodes" if found else f"no {cluster} yet")


def pod_network(context: Context) -> Check:
    """Whether NetworkPolicies have an effect."""
    name, network = "pod network", context.facts.get("pod_network")
    if not network:
        return skip(name, "no cluster yet")
    if network.get("enforces_network_policy"):
        return ok(name, f"{network['name']} enforces NetworkPolicies")
    return warn(
        name,
        f"{network['name']} does not enforce NetworkPolicies",
        "to test policies use images_supply registry or mirror, whose nodes have kindnet",
    )


def _other_endpoint(context: Context) -> str:
    """Where the client's own context points, if not to the host that was asked."""
    state = context.engine
    if not state.docker or context.machine.env.get("DOCKER_HOST"):
        return ""
    done = context.machine.run(
        [state.docker, "context", "inspect", "--format={{.Endpoints.docker.Host}}"]
    )
    host = done.out.strip() if done.code == 0 else ""
    return host if host and host != state.host else ""
