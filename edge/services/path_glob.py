"""Globs of request paths, matched in time linear in the path: no pattern makes a long path expensive."""


class PathGlob:
    """`*` matches any characters, `/` as well, also none. `matches` takes a canonical path without its query."""

    __slots__ = ("_first", "_last", "_length", "_middle")

    def __init__(self, pattern: str) -> None:
        first, *rest = pattern.split("*")
        self._first = first
        self._last: str | None = rest.pop() if rest else None  # None: the pattern is an exact path
        self._middle = [part for part in rest if part]
        self._length = len(first) + len(self._last or "")

    def matches(self, path: str) -> bool:
        if self._last is None:
            return path == self._first
        if len(path) < self._length or not (path.startswith(self._first) and path.endswith(self._last)):
            return False
        at, end = len(self._first), len(path) - len(self._last)
        for part in self._middle:
            found = path.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True
