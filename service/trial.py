"""The serving process's side of the check of a new model."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from service.check import REFUSED
from service.errors import ModelRefusedError, ModelUnavailableError
from service.settings import Settings

_MAX_REASON_BYTES = 1000
# Beside a service under load the check gets little of the CPU.
_WALL_PER_CPU_SECOND = 4
_WALL_SECONDS = 30


async def try_model(folder: Path, name: str, settings: Settings) -> None:
    """Check the model in ``folder`` in a process of its own.

    Raises ModelRefusedError if it does not do, ModelUnavailableError if that is not known yet.
    """
    cpu = math.ceil(settings.check_seconds)
    wall = _WALL_SECONDS + cpu * _WALL_PER_CPU_SECOND
    words = [
        *(str(folder.absolute()), name, "--cpu-seconds", str(cpu), "--wall-seconds", str(wall)),
        *("--memory-mb", str(settings.check_memory_mb), "--max-batch", str(settings.max_batch)),
        # A number and what parts it from the next are two bytes at least.
        *("--max-numbers", str(settings.max_body_bytes // 2)),
    ]
    try:
        async with asyncio.timeout(wall), _process(words) as process:
            assert process.stdout is not None
            said = await process.stdout.read(_MAX_REASON_BYTES)
            code = await process.wait()
            if code == -signal.SIGALRM:
                raise TimeoutError
    except TimeoutError:
        raise ModelUnavailableError(f"its check did not end within {wall} seconds") from None
    except OSError as error:
        raise ModelUnavailableError(f"its check did not start: {error.strerror}") from None
    if code == REFUSED:
        raise ModelRefusedError("".join(filter(str.isprintable, said.decode(errors="replace"))))
    if code == -signal.SIGXCPU:
        raise ModelRefusedError(f"opening and running it takes more than {cpu} seconds")
    if code < 0:
        raise ModelRefusedError(f"opening or running it ends the process: {_name(-code)}")
    if code > 0:
        raise ModelUnavailableError(f"its check failed with exit code {code}")


@asynccontextmanager
async def _process(words: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    # It reads no variables, and so is told where modules are compiled already.
    prefix = sys.pycache_prefix
    compiled = ("-X", f"pycache_prefix={prefix}") if prefix else ()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", "-E", "-s", *compiled, "-m", "service.check", *words),
        cwd=Path(__file__).parents[1],
        env={},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _name(number: int) -> str:
    return signal.Signals(number).name if number in list(signal.Signals) else str(number)
