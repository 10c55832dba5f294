"""Retries of what fails for a reason that passes by itself, with a pause before each.

A policy recognizes such reasons by the words of the program that failed. A permanent reason, such
as a wrong hash, a refusal or a full disk, ends at once, whatever else was said.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from kindling import progress
from kindling.errors import KindlingError

T = TypeVar("T")
_STEP = "pause before a retry"
# What Kubernetes' programs note on their way, such as an API of an add-on that does not answer,
# is not why they failed.
_KLOG = re.compile(r"\b[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ .*")


class ExhaustedError(KindlingError):
    """The last failure of work that was retried: what calls that work does not retry it."""


@dataclass(frozen=True)
class Policy:
    """Which failures are retried, and the seconds to pause before each retry."""

    transient: re.Pattern[str]
    permanent: re.Pattern[str]
    pauses: tuple[float, ...]

    def covers(self, text: str) -> bool:
        """Whether a failure with this ``text`` may pass by itself."""
        text = _KLOG.sub("", text)
        return bool(self.transient.search(text)) and not self.permanent.search(text)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_NO_CONNECTION = (
    r"connection (was )?(refused|reset|aborted|broken|closed|lost|failed|timed out)",
    r"econn(reset|refused|aborted)", r"etimedout", r"err_socket_timeout", r"broken pipe",
    r"no route to host", r"network is unreachable", r"unexpected eof", r"\beof\b", r"timed out",
    r"(handshake|i/o|connect|connection|read|request|gateway|socket) time-?out",
    r"timeout (exceeded|awaiting)", r"deadline exceeded", r"net/http:", r"http2:", r"stream error:",
)  # fmt: skip
_FULL = (r"no space left", r"enospc", r"quota exceeded", r"database space exceeded")
_DISTRUST = (r"x509", r"certificate")

# Package and image registries, apt's mirrors, their proxies and DNS; pip, apt, npm, go and docker.
NETWORK = Policy(
    _any_of(
        *_NO_CONNECTION,
        r"temporary failure", r"could not resolve", r"no such host", r"server misbehaving",
        r"name or service not known", r"eai_again", r"enotfound", r"dns error",
        r"failed to establish a new connection", r"(could not|unable to) connect",
        r"retrying \(retry", r"error sending request", r"incompleteread", r"incomplete ?download",
        r"non-properly terminated", r"remote end closed", r"mirror sync in progress",
        # Of apt and dpkg, which a machine that has just booted runs by itself.
        r"could not get lock", r"unable to (lock|acquire)",
        r"too ?many ?requests", r"http error (429|5\d\d)", r"\be(429|5\d\d)\b",
        r"\b(429|50[0234])\s+(too many|internal server|bad gateway|service unav|gateway time)",
    ),
    _any_of(
        *_FULL, *_DISTRUST,
        r"\b(401|403|404|407|410)[:\s]+(unauthorized|forbidden|not found|proxy auth|gone)",
        r"http error (401|403|404|407|410)", r"\be(401|403|404)\b",
        # But for apt's warning that it downloads as root.
        r"(?<!run \(13: permission )\bdenied\b",
        r"unauthorized", r"authentication required", r"manifest unknown",
        r"hash(es)?( sum)? mismatch", r"not match the hashes", r"checksum mismatch", r"eintegrity",
        r"security error", r"no_pubkey", r"badsig", r"expkeysig", r"is not signed",
        r"invalid signature",
    ),
    pauses=(2, 5, 15, 30),
)  # fmt: skip

# kubectl, helm and MLflow: a server, or its store, that starts, is busy or was changed by others.
API = Policy(
    _any_of(
        *_NO_CONNECTION,
        r"was refused - did you specify", r"unable to connect to the server", r"no answer in \d",
        r"does not answer", r"cluster unreachable",
        r"tls handshake", r"etcdserver:", r"leader changed",
        r"too ?many ?requests", r"storage is \(re\)initializing", r"please try again",
        r"unable to handle the request", r"in the time allotted", r"internal error occurred",
        r"prevented the request from succeeding", r"failed calling webhook",
        r"object has been modified", r"namespaces \"[^\"]+\" not found", r"being terminated",
        r"another operation .* is in progress", r"complete list of server apis",
        # An administrator, as ours is, may everything: the server has not read its roles yet.
        r"user \"kubernetes-admin\" cannot",
        r"stale groupversion", r"\((429|50[0234])\)",
    ),
    _any_of(
        *_FULL, *_DISTRUST, r"unauthorized", r"must be logged in", r"already exists",
        r"http error (401|403|404|407)",
    ),
    pauses=(1, 2, 5, 10, 20, 30, 30, 30, 30, 30, 30, 30),
)  # fmt: skip

# The container engine and the containerd of a node, which may just be starting.
ENGINE = Policy(
    _any_of(
        *_NO_CONNECTION,
        r"ttrpc: closed", r"is already in progress", r"device or resource busy",
        r"error while dialing", r"failed to dial", r"cannot connect to the docker daemon",
        r"error during connect", r"temporarily unavailable", r"is restarting",
        r"could not find a log line", r"port is already allocated", r"address already in use",
        r"containerd to become ready", r"has active endpoints",
    ),
    _any_of(*_FULL, *_DISTRUST, r"permission denied", r"no such image"),
    pauses=(2, 5, 15, 30),
)  # fmt: skip


def call(work: Callable[[], T], policy: Policy) -> T:
    """The result of ``work``, which is retried while it fails with what ``policy`` covers.

    Raises the KindlingError of the last try.
    """
    for tries in itertools.count(1):
        try:
            return work()
        except KindlingError as error:
            pause, why = _pause(error, policy, tries)
        with progress.step(_STEP, why):
            time.sleep(pause)
    raise AssertionError("unreachable")


async def call_async(work: Callable[[], Awaitable[T]], policy: Policy) -> T:
    """Like ``call``, for a coroutine function."""
    for tries in itertools.count(1):
        try:
            return await work()
        except KindlingError as error:
            pause, why = _pause(error, policy, tries)
        with progress.step(_STEP, why):
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


def _pause(error: KindlingError, policy: Policy, tries: int) -> tuple[float, str]:
    """The seconds to pause and why. Raises ``error`` where there is no other try."""
    if isinstance(error, ExhaustedError) or not policy.covers(error.message):
        raise error
    if tries > len(policy.pauses):
        raise ExhaustedError(f"{error.message} (tried {tries} times)", next_step=error.next_step)
    return policy.pauses[tries - 1], error.message.strip().splitlines()[-1].strip()[:200]
