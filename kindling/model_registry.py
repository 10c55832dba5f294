"""Moving the aliases of registered models: what is served, what was, what may be next."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kindling.errors import KindlingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from service.package import Descriptor

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
SAMPLE_TAG = "kindling.sample"
# Of a registered model: what the service is asked for. Of a version: what became of it.
CANARY = "canary"
_GATE, _PASSED = "gate", "passed"
_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_PAGE = 1000


@dataclass(frozen=True)
class Canary:
    """What the tag of a model asks the service for; ``until`` is a time in Unix seconds."""

    version: str
    share: float
    until: float


@dataclass(frozen=True)
class Move:
    """A champion that was replaced: versions, ``before`` being empty for the first one.

    ``aliases`` are those that there were before, ``remembered`` is the version that rolling
    ``after`` back led to until then.
    """

    name: str
    before: str
    after: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    remembered: str = ""


class ModelRegistry:
    """The registered models of one MLflow."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client, for what is not about aliases."""
        return self._client

    def names(self) -> list[str]:
        """Every registered model, sorted."""
        found = self._every(self._client.search_registered_models)
        return sorted(str(one.name) for one in found)

    def versions(self, name: str) -> list[Any]:
        """MLflow's versions of ``name``, newest first.

        Raises KindlingError naming the models that exist.
        """
        if not self._is_registered(name):
            known = self.names()
            there = f"there are {', '.join(known)}" if known else "none is registered yet"
            raise KindlingError(
                f"there is no registered model {name}; {there}",
                next_step="nox -s models" if known else "nox -s train",
            )
        # A name may have either quote within it; with both MLflow cannot be asked.
        quoted = f'"{name}"' if "'" in name else f"'{name}'"
        found = self._every(self._client.search_model_versions, filter_string=f"name = {quoted}")
        return sorted(found, key=lambda version: -int(version.version))

    def _is_registered(self, name: str) -> bool:
        from mlflow.exceptions import MlflowException

        with mlflow_errors():
            try:
                self._client.get_registered_model(name)
            except MlflowException as error:
                if error.error_code != _ABSENT:
                    raise
                return False
        return True

    def _every(self, search: Callable[..., Any], **query: Any) -> list[Any]:
        """All that a search finds; MLflow gives it page by page."""
        entries: list[Any] = []
        token = None
        while True:
            with mlflow_errors():
                page = search(**query, max_results=_PAGE, page_token=token)
            entries += page
            if not (token := page.token):
                return entries

    def aliases(self, name: str) -> dict[str, str]:
        """Versions of ``name`` by alias."""
        with mlflow_errors():
            return {k: str(v) for k, v in self._client.get_registered_model(name).aliases.items()}

    def metrics(self, version: Any) -> dict[str, float]:
        """What was measured of a version when it was trained; empty where nothing is on record."""
        if not version.run_id:
            return {}
        with mlflow_errors():
            return dict(self._client.get_run(version.run_id).data.metrics)

    def descriptor(self, name: str, version: str) -> Descriptor | None:
        """What the package of a version says of itself; None where that cannot be read."""
        import requests
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # Late, as cluster-up imports this module too.
        from service.errors import ModelInvalidError
        from service.package import DESCRIPTOR_FILE, parse_descriptor

        with tempfile.TemporaryDirectory() as folder:
            try:
                repository: Any = get_artifact_repository(f"models:/{name}/{version}")
                file = Path(repository.download_artifacts(DESCRIPTOR_FILE, folder))
                return parse_descriptor(file.read_bytes(), name)
            except (MlflowException, requests.RequestException, OSError, ModelInvalidError):
                return None

    def mark_sample(self, name: str, version: str) -> None:
        """Say of the run behind a version that cluster-up made it, and would make it again."""
        with mlflow_errors():
            self._client.set_tag(self.version(name, version).run_id, SAMPLE_TAG, "true")

    def promote(self, name: str, version: str, *, instead_of: str | None = None) -> Move:
        """Make ``version`` the champion, and its predecessor ``previous``.

        Raises KindlingError for an unknown version, for one that the gate did not pass, and where
        the champion is another than ``instead_of``.
        """
        remembered = self.passed(name, version).tags.get(PREVIOUS, "")
        aliases = self.aliases(name)
        before = aliases.get(CHAMPION, "")
        if instead_of not in (None, before):
            raise KindlingError(
                f"version {before or 'none'} of {name} is champion now, not {instead_of}, which"
                f" version {version} was compared with",
                next_step="nox -s models, then the same command again",
            )
        if before == version:
            return Move(name, before, version, aliases)
        with mlflow_errors():
            if before:
                self._client.set_model_version_tag(name, version, PREVIOUS, before)
                self._client.set_registered_model_alias(name, PREVIOUS, before)
            self._client.set_registered_model_alias(name, CHAMPION, version)
            if aliases.get(CHALLENGER) == version:
                self._client.delete_registered_model_alias(name, CHALLENGER)
        return Move(name, before, version, aliases, remembered)

    def rollback(self, name: str) -> Move:
        """Make the previous champion the champion again, and the one before it ``previous``.

        Raises KindlingError when there was none.
        """
        versions = {str(one.version): one for one in self.versions(name)}
        aliases = self.aliases(name)
        after, before = aliases.get(PREVIOUS, ""), aliases.get(CHAMPION, "")
        if not after:
            raise KindlingError(
                f"there is no version of {name} that was served before",
                next_step="nox -s models, then nox -s promote -- NAME VERSION",
            )
        with mlflow_errors():
            self._client.set_registered_model_alias(name, CHAMPION, after)
        self._remember(name, versions[after].tags.get(PREVIOUS, ""), versions)
        return Move(name, before, after, aliases)

    def undo(self, move: Move) -> bool:
        """Take back a promotion; False, and nothing is changed, where another move came after it.

        An alias that was moved since stays where it is.
        """
        now = self.aliases(move.name)
        if now.get(CHAMPION) != move.after:
            return False
        made = {CHAMPION: move.after, **({PREVIOUS: move.before} if move.before else {})}
        with mlflow_errors():
            for alias, version in made.items():
                if now.get(alias) == version:
                    self._put_back(move, alias)
            if move.aliases.get(CHALLENGER) == move.after and CHALLENGER not in now:
                self._put_back(move, CHALLENGER)
            if move.before:
                self._client.set_model_version_tag(move.name, move.after, PREVIOUS, move.remembered)
        return True

    def _put_back(self, move: Move, alias: str) -> None:
        if version := move.aliases.get(alias):
            self._client.set_registered_model_alias(move.name, alias, version)
        else:
            self._client.delete_registered_model_alias(move.name, alias)

    def check_canary(self, name: str, version: str) -> str:
        """The champion that ``version`` may be compared with.

        Raises KindlingError for an unknown version, one that the gate did not pass, the champion
        itself, a model without one, and while another canary is under way.
        """
        self.passed(name, version)
        champion = self.aliases(name).get(CHAMPION)
        if champion in (None, version):
            raise KindlingError(
                f"version {version} of {name} is its champion"
                if champion
                else f"{name} has no champion to compare a canary with",
                next_step=f"nox -s train -- {name}"
                if champion
                else f"nox -s promote -- {name} {version}",
            )
        if (other := self.canary(name)) and other.until > time.time():
            raise KindlingError(
                f"version {other.version} of {name} is a canary already, and looked after",
                next_step=f"wait for its end, or {other.until - time.time():.0f} s if nobody does",
            )
        return str(champion)

    def canary(self, name: str) -> Canary | None:
        """The canary that the service is asked for, if any, even if its time is over."""
        with mlflow_errors():
            tag = self._client.get_registered_model(name).tags.get(CANARY)
        try:
            return Canary(**json.loads(tag)) if tag else None
        except (ValueError, TypeError):
            return None

    def set_canary(self, name: str, canary: Canary) -> None:
        """Ask the service for it."""
        with mlflow_errors():
            self._client.set_registered_model_tag(name, CANARY, json.dumps(asdict(canary)))

    def end_canary(self, name: str) -> None:
        """Ask the service for none."""
        with mlflow_errors():
            self._client.delete_registered_model_tag(name, CANARY)

    def note_canary(self, name: str, version: str, outcome: str) -> None:
        """Keep with a version what became of it as a canary."""
        with mlflow_errors():
            self._client.set_model_version_tag(name, version, CANARY, outcome)

    def passed(self, name: str, version: str) -> Any:
        """MLflow's version. Raises KindlingError for an unknown one, or before it is evaluated."""
        entry = self.version(name, version)
        if entry.tags.get(_GATE) != _PASSED:
            raise KindlingError(
                f"version {version} of {name} has not passed the evaluation gate",
                next_step=f"nox -s train -- {name}, which registers what passes",
            )
        return entry

    def _remember(self, name: str, previous: str, versions: dict[str, Any]) -> None:
        with mlflow_errors():
            if previous in versions:
                self._client.set_registered_model_alias(name, PREVIOUS, previous)
            else:
                self._client.delete_registered_model_alias(name, PREVIOUS)

    def version(self, name: str, version: str) -> Any:
        """MLflow's version. Raises KindlingError naming those that there are."""
        versions = self.versions(name)
        for one in versions:
            if str(one.version) == version:
                return one
        there = ", ".join(str(one.version) for one in reversed(versions)) or "none"
        raise KindlingError(
            f"there is no version {version} of {name}; there are {there}",
            next_step=f"nox -s promote -- {name} {versions[0].version}"
            if versions
            else "nox -s train",
        )


def connect() -> ModelRegistry:
    """The registry that the environment names (see ``RegistryAccess.export``)."""
    # Imported late: it takes seconds, which nobody with a typing mistake should wait for.
    from mlflow import MlflowClient

    return ModelRegistry(MlflowClient())


@contextmanager
def mlflow_errors() -> Iterator[None]:
    """Raise KindlingError for what MLflow refuses in the block."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
        raise KindlingError(f"MLflow: {lines[0][:300]}", next_step="nox -s status") from None
