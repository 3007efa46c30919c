"""Redirects of a service: the first whose path matches answers, for every method."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge.services.path_glob import PathGlob
from services.transforms import Redirect


@dataclass(frozen=True, slots=True)
class RedirectAnswer:
    """Status and Location of a redirect."""

    status: int
    location: str


class RedirectList:
    """Compiled redirects in order."""

    def __init__(self, redirects: Iterable[Redirect]) -> None:
        self._redirects = [(PathGlob(one.path), one.to, int(one.status)) for one in redirects]

    def find_redirect(self, target: str) -> RedirectAnswer | None:
        """Return the redirect of a canonical target."""
        path, question, query = target.partition("?")
        for glob, to, status in self._redirects:
            if glob.matches(path):
                return RedirectAnswer(status, to.replace("{query}", question + query).replace("{path}", path))
        return None
