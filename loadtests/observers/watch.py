"""A watch on one list of the API server: first all that is there, then each change."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from typing import Any

from kindling.errors import KindlingError
from loadtests.observers.link import Address, GoneError, Link
from loadtests.observers.observer import Observer
from loadtests.timeline import Source, Timeline

# Each watch is short and goes on where the last one ended: so a server that hangs is noticed.
_WATCH_SECONDS = 5
_SILENCE_SECONDS = 8.0

Reduce = Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]


class Watch(Observer):
    """Adds a moment for each object whose reduced form has changed.

    ``reduce`` gives the moment's name and fields. ``required`` names an object without which there
    is no first state. Where ``history`` is true, what is there at first is no news.
    """

    def __init__(
        self,
        source: Source,
        timeline: Timeline,
        api: Address,
        path: str,
        reduce: Reduce,
        *,
        required: str = "",
        history: bool = False,
        **query: str,
    ) -> None:
        self._link = Link(api, _SILENCE_SECONDS)
        super().__init__(source, timeline, self._link, pause=0)
        self._source: Source = source
        self._path, self._query, self._reduce = path, query, reduce
        self._required, self._history = required, history
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}
        self._version = ""

    def look(self) -> None:
        try:
            if not self._version:
                self._list()
            changes = self._link.lines(
                self._path, watch="1", resourceVersion=self._version, allowWatchBookmarks="true",
                timeoutSeconds=str(_WATCH_SECONDS), **self._query,
            )  # fmt: skip
            for change in changes:
                self._take(change)
                self.sees()
            self.sees()
        except BaseException:
            # After whatever failure, begin with a list.
            self._version = ""
            raise

    def _list(self) -> None:
        found = self._link.get(self._path, **self._query)
        items = {item["metadata"]["uid"]: item for item in found["items"]}
        names = [item["metadata"]["name"] for item in items.values()]
        if self._required and self._required not in names:
            raise KindlingError(f"there is no {self._source} {self._required}")
        quiet = self._history and not self.has_seen.is_set()
        for uid in [uid for uid in self._known if uid not in items]:
            self._gone(uid)
        for item in items.values():
            self._changed(item, quiet=quiet)
        self._version = found["metadata"]["resourceVersion"]
        self.sees()

    def _take(self, change: Mapping[str, Any]) -> None:
        kind, item = change["type"], change["object"]
        if kind == "ERROR":
            if item.get("code") == http.client.GONE:
                raise GoneError(f"{self._path}: {item.get('message')}")
            raise KindlingError(f"the watch on {self._path} ended: {item.get('message')}")
        self._version = item["metadata"]["resourceVersion"]
        if kind == "DELETED":
            self._changed(item, quiet=True)
            self._gone(item["metadata"]["uid"])
        elif kind != "BOOKMARK":
            self._changed(item)

    def _changed(self, item: Mapping[str, Any], *, quiet: bool = False) -> None:
        uid, reduced = item["metadata"]["uid"], self._reduce(item)
        if reduced == self._known.get(uid):
            return
        self._known[uid] = reduced
        if not quiet:
            self.add(self._source, reduced[0], **reduced[1])

    def _gone(self, uid: str) -> None:
        name, fields = self._known.pop(uid)
        if "gone" in fields:
            self.add(self._source, name, **{**fields, "ready": False, "gone": True})
