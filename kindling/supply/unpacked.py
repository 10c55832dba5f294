"""Images that our engine has unpacked and that only nodes run: their files are removed.

Docker's engine unpacks each image that it builds, whatever the build asks for, and keeps the files
while the image is there: as much again as three times its content. What runs after all is unpacked
when it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kindling.engine import NAMESPACE
from kindling.supply import command
from kindling.supply.containers import Engine, manifests

# By this label of an image's configuration, containerd's collector of garbage finds its files.
_LABEL = "containerd.io/gc.ref.snapshot.overlayfs"


def remove(engine: Engine, ctr: Path, socket: Path, keep: Sequence[str]) -> None:
    """Remove the files of every image of ours but those that are called as one of ``keep``.

    ``ctr`` is containerd's client, ``socket`` that of the engine's own containerd; without it, or
    where the engine has a store of another kind, nothing is done.
    """
    if engine.content is None or not socket.exists():
        return
    listed = engine.run("image", "ls", "--format={{.Repository}}:{{.Tag}}").split()
    ours = [
        ref for ref in listed if ref.startswith("kindling/") and not ref.startswith(tuple(keep))
    ]
    if not ours:
        return
    call: list[str | Path] = [ctr, "--address", socket, "--namespace", NAMESPACE]
    found = manifests(engine, engine.content, ours)
    for digest in sorted({manifest["config"]["digest"] for manifest in found}):
        command.run([*call, "content", "label", digest, f"{_LABEL}="])
    # The end of a lease, waited for, is how garbage is collected now.
    lease = command.run([*call, "leases", "create"]).strip()
    command.run([*call, "leases", "delete", "--sync", lease])
