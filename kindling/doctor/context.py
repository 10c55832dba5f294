"""What checks share, so that the engine is asked once."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from kindling.doctor.machine import Machine
from kindling.settings import Settings
from kindling.supply.versions import Versions


@dataclass(frozen=True)
class EngineState:
    """The engine as the client sees it; ``info`` is empty where none answers, ``why`` says why."""

    docker: str | None
    host: str
    info: dict[str, Any]
    why: str = ""


@dataclass
class Context:
    """Settings, machine and pinned versions, and what is known of the cluster and its engine."""

    settings: Settings
    machine: Machine
    versions: Versions
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _engine: EngineState | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """``cluster.json`` of our cluster, or nothing."""
        return self.machine.facts(self.settings.cluster_name) or {}

    @property
    def has_cluster(self) -> bool:
        """Whether our cluster was made completely; it then lacks nothing that a new one needs."""
        facts = self.facts
        return bool(facts.get("complete", facts))

    @property
    def engine(self) -> EngineState:
        """The engine, asked by the first check that needs it."""
        with self._lock:
            if self._engine is None:
                self._engine = self._ask_engine()
            return self._engine

    def docker(self, *words: str) -> str | None:
        """Output of ``docker WORDS``, or None where it failed or no engine answers."""
        state = self.engine
        if not state.docker or not state.info:
            return None
        done = self.machine.run([state.docker, *words], env={"DOCKER_HOST": state.host})
        return done.out if done.code == 0 else None

    def _ask_engine(self) -> EngineState:
        recorded = self.facts.get("engine", {})
        docker = recorded.get("docker") or self.machine.which("docker")
        host = recorded.get("host") or self.machine.engine_host()
        if docker is None:
            return EngineState(None, host, {}, "there is no docker command")
        done = self.machine.run([docker, "info", "--format={{json .}}"], env={"DOCKER_HOST": host})
        try:
            info = json.loads(done.out) if done.code == 0 else {}
        except ValueError:
            info = {}
        if info.get("ServerVersion"):
            return EngineState(docker, host, info)
        lines = [*done.err.strip().splitlines(), *(info.get("ServerErrors") or [])]
        return EngineState(docker, host, {}, lines[-1] if lines else "no engine answers")
