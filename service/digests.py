"""The ``sha256`` tag of a registered version: which files it has, and what must be in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from service.errors import ModelRefusedError
from service.package import DESCRIPTOR_FILE, FILES, GRAPH_FILE, OPTIONAL_FILES, Kind

TAG = "sha256"
Digests = dict[str, str]

_MAX_TAG = 8192
_KNOWN = OPTIONAL_FILES.union(*FILES.values())
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_ADAPTER = TypeAdapter(dict[str, _Sha256])


def parse_digests(tag: str | None) -> Digests:
    """File names and their SHA-256. Raises ModelRefusedError for what is not a package of ours."""
    if tag is None:
        raise ModelRefusedError(
            f"it has no tag {TAG}, so nobody vouches for its content; "
            "only ONNX packages that the pipeline registered are served"
        )
    try:
        digests = _ADAPTER.validate_json(tag[:_MAX_TAG], strict=True)
    except ValidationError:
        raise ModelRefusedError(
            f"its tag {TAG} is not a JSON object of file names and SHA-256 in hexadecimal"
        ) from None
    other = sorted(set(digests) - _KNOWN)
    if other:
        raise ModelRefusedError(
            f"its tag {TAG} lists {_shown(other[0])}; only ONNX packages are served: "
            f"{', '.join(sorted(_KNOWN))}"
        )
    for name in (DESCRIPTOR_FILE, GRAPH_FILE):
        if name not in digests:
            raise ModelRefusedError(f"its tag {TAG} lists no {name}")
    return digests


def check_files(digests: Digests, kind: Kind) -> None:
    """Raise ModelRefusedError unless the package has the files of its kind, and no other's."""
    if set(digests) - OPTIONAL_FILES != FILES[kind]:
        raise ModelRefusedError(f"a {kind} is made of {', '.join(sorted(FILES[kind]))}")


def folder_name(version: str, digests: Mapping[str, str]) -> str:
    """The name of the folder for a copy: another for the same version with other content."""
    canonical = json.dumps(digests, sort_keys=True, separators=(",", ":"))
    return f"{version}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"


def matches(folder: Path, digests: Mapping[str, str]) -> bool:
    """Whether ``folder`` holds these files with this content; blocks."""
    try:
        return all(_sha256(folder / name) == digest for name, digest in digests.items())
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(name: str) -> str:
    """A name that the registry gave, fit for logs and people."""
    return repr(name[:60])
