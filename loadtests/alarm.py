"""Waking at a time of ``loadtests.clock``, on the spot.

gevent's own timers count in milliseconds and fire some 0.7 ms late, which would be a good part of
the latency of a request. The kernel's are 0.06 ms late, and the hub can wait for them as for data.
"""

from __future__ import annotations

import ctypes
import os

import gevent

from loadtests import clock

_LIBC = ctypes.CDLL(None, use_errno=True)
# From <sys/timerfd.h>; Python has these from 3.13 on.
_CLOCK_MONOTONIC, _ABSOLUTE = 1, 1
_READABLE = 1


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


class Alarm:
    """For one greenlet at a time."""

    def __init__(self) -> None:
        self._timer = _LIBC.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "there is no timer to be had")
        self._hub = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._timer, _READABLE)

    def sleep_until(self, then: float) -> None:
        """Return at this time, at once if it has passed."""
        if then <= clock.now():
            return
        due = then - clock.offset()
        seconds = int(due)
        setting = _Setting(_Time(), _Time(seconds, int((due - seconds) * 1e9)))
        if _LIBC.timerfd_settime(self._timer, _ABSOLUTE, ctypes.byref(setting), None):
            raise OSError(ctypes.get_errno(), "the timer cannot be set")
        self._hub.wait(self._watcher)
        os.read(self._timer, 8)
