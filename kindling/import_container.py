"""The container in which a model is opened and converted: it may run whatever its owner wrote."""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO

from kindling.errors import KindlingError
from kindling.import_answer import Answer, SilentError, plain, read
from kindling.supply.containers import Engine

SECONDS = 600
MEMORY, PROCESSORS, PROCESSES, SCRATCH = "4g", "2", "256", "512m"
_PREFIX = "kindling-import-"
_LAST_WORDS, _LONGEST = 4, 300
# Of the kernel's, when memory runs out, and of docker, which could not start it.
_KILLED, _NOT_STARTED = 137, (125, 126, 127)
_SIGNALS = 128


def options(name: str, model: Path) -> list[str]:
    """What ``docker run`` is told for a container ``name`` that reads the folder ``model``.

    It has no network, no rights and nowhere to write but its own memory: what it makes leaves it
    by standard output alone.
    """
    return [
        "--rm", f"--name={name}", "--label=app.kubernetes.io/part-of=kindling", "--pull=never",
        "--network=none", "--read-only", f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={SCRATCH}",
        "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001:10001",
        f"--memory={MEMORY}", f"--memory-swap={MEMORY}", f"--cpus={PROCESSORS}",
        f"--pids-limit={PROCESSES}", "--ulimit=core=0", "--log-driver=none",
        f"--mount=type=bind,source={model},target=/model,readonly",
    ]  # fmt: skip


def sweep(engine: Engine) -> None:
    """End containers that a killed import left; call it while nobody else imports."""
    left = engine.run("ps", "--all", "--quiet", f"--filter=name={_PREFIX}").split()
    for container in left:
        _remove(engine, container)


def convert(
    engine: Engine, image: str, model: Path, name: str, *, seconds: float = SECONDS
) -> Answer:
    """Convert the MLflow model in the folder ``model``; what comes out is called ``name``.

    Raises KindlingError with the reason if there is none, and after ``seconds``.
    """
    container = f"{_PREFIX}{uuid.uuid4().hex[:12]}"
    words = [str(engine.docker), "run", *options(container, model), image, "/model", name]
    child = subprocess.Popen(
        [*words, f"--seconds={int(seconds) + 5}"],
        env={**os.environ, **engine.env}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    late = threading.Event()

    def end() -> None:
        late.set()
        _remove(engine, container)
        child.kill()

    limit = threading.Timer(seconds, end)
    limit.start()
    said = _Tail(child.stderr)
    try:
        assert child.stdout is not None
        with child.stdout as stream:
            answer = read(stream, name)
        child.wait()
    except KindlingError as error:
        # Of the same container: its exit code tells more than an answer that breaks off.
        code = _code(child)
        raise _explain(error, code, said.lines(), late=late.is_set(), seconds=seconds) from None
    finally:
        limit.cancel()
        child.kill()
        child.wait()
        _remove(engine, container)
        said.lines()
    return answer


def _code(child: subprocess.Popen[bytes]) -> int:
    with suppress(subprocess.TimeoutExpired):
        return child.wait(10)
    return 0


def _explain(
    error: KindlingError, code: int, said: list[str], *, late: bool, seconds: float
) -> KindlingError:
    if late:
        return KindlingError(
            f"its conversion did not end within {seconds:g} s", next_step="import a smaller model"
        )
    if code == _KILLED:
        return KindlingError(
            f"its conversion needs more than the {MEMORY} of memory that it may take",
            next_step="import a smaller model",
        )
    if code > _SIGNALS and isinstance(error, SilentError):
        return KindlingError(
            f"its conversion ended by signal {code - _SIGNALS}: the model's own code, or a library",
            next_step="log it without functions and classes of your own, and import that",
        )
    if code in _NOT_STARTED:
        words = " / ".join(said)
        return KindlingError(
            f"the converter did not start, or ended as if so: {words}", next_step="nox -s doctor"
        )
    return error


def _remove(engine: Engine, container: str) -> None:
    """End and remove the container, whether or not it is there."""
    subprocess.run(
        [engine.docker, "rm", "--force", container],
        env={**os.environ, **engine.env},
        capture_output=True,
    )


class _Tail:
    """Reads a stream to its end, and keeps the last lines of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """The last ones, once the stream has ended."""
        self._thread.join(5)
        return list(self._last)

    def _read(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        with stream:
            while line := stream.readline(_LONGEST):
                self._last.append(plain(line.decode(errors="replace")))
