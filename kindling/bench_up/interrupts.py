"""Signals that end the benchmark: raised while it measures, postponed while it takes down."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_notices: list[object] = []


class Interrupted(KeyboardInterrupt):
    """A signal that asks for the end; ``exit_code`` is the shell's for it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def raised() -> Iterator[None]:
    """Raise Interrupted in the block when a signal comes, or when nox, its parent, is gone."""

    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in _heeded()}
    # A killed nox would leave the benchmark behind, with hours to go.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        yield
    finally:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def postponed(say: Callable[[str], None]) -> Iterator[None]:
    """Let no signal end the block: what is half taken down would stay. Raise it afterwards."""
    if any(signal.getsignal(number) in _notices for number in _SIGNALS):
        yield
        return
    came: list[int] = []

    def notice(number: int, _frame: object) -> None:
        came.append(number)
        say("still taking down what was started; that takes up to some minutes")

    _notices.append(notice)
    before = {number: signal.signal(number, notice) for number in _heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _notices.remove(notice)
    if came:
        raise Interrupted(came[0])


def _heeded() -> list[signal.Signals]:
    """Those that our caller did not ask to ignore, as nohup does."""
    return [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
