"""Stop strings in a text that comes piece by piece."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Cuts a text before the first of ``strings``, and keeps back what may become one."""

    def __init__(self, strings: Sequence[str] = ()) -> None:
        self._strings = tuple(strings)
        self._kept = ""
        self.found = False

    def feed(self, piece: str) -> str:
        """What may be shown now that ``piece`` came; sets ``found`` at a stop string."""
        if not self._strings:
            return piece
        text = self._kept + piece
        starts = [start for string in self._strings if (start := text.find(string)) >= 0]
        self.found = bool(starts)
        end = min(starts) if starts else self._safe(text)
        self._kept = "" if self.found else text[end:]
        return text[:end]

    def flush(self) -> str:
        """What was kept back, as no more text comes."""
        kept, self._kept = self._kept, ""
        return kept

    def _safe(self, text: str) -> int:
        """Where the earliest beginning of a stop string is at the end of ``text``."""
        longest = max(map(len, self._strings))
        for start in range(max(0, len(text) - longest + 1), len(text)):
            rest = text[start:]
            if any(string.startswith(rest) for string in self._strings):
                return start
        return len(text)
