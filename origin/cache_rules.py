"""Cache-Control and Cache-Tag by rule: the first glob that matches a path says what its responses carry."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


class RuleUnusable(ValueError):
    """A rule is not GLOB=VALUE."""


@dataclass(frozen=True, slots=True)
class CacheRules:
    """`rules` in order; `otherwise` where none matches."""

    rules: tuple[tuple[str, str], ...]
    otherwise: str

    @classmethod
    def parse(cls, text: str, otherwise: str) -> "CacheRules":
        """`GLOB=VALUE; GLOB=VALUE ...`. Raises `RuleUnusable`."""
        rules = []
        for part in (one.strip() for one in text.split(";")):
            glob, equals, value = part.partition("=")
            if part and not (
                glob.strip() and equals and value.strip() and value.isprintable() and value.isascii()
            ):
                raise RuleUnusable(f"{part!r} is not GLOB=VALUE")
            if part:
                rules.append((glob.strip(), value.strip()))
        return cls(tuple(rules), otherwise)

    def of(self, path: str) -> str:
        return next((value for glob, value in self.rules if fnmatchcase(path, glob)), self.otherwise)
