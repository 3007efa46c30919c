"""Cache-Control and Cache-Tag by rule: the first glob that matches the path sets the value."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


class InvalidRule(ValueError):
    """A rule is not GLOB=VALUE."""


@dataclass(frozen=True, slots=True)
class CacheRules:
    """`rules` in order; `otherwise` applies if none matches."""

    rules: tuple[tuple[str, str], ...]
    otherwise: str

    @classmethod
    def parse(cls, text: str, otherwise: str) -> "CacheRules":
        """Parse `GLOB=VALUE; GLOB=VALUE ...`. Raises `RuleUnusable`."""
        rules = []
        for part in (one.strip() for one in text.split(";")):
            glob, equals, value = part.partition("=")
            if part and not (
                glob.strip() and equals and value.strip() and value.isprintable() and value.isascii()
            ):
                raise InvalidRule(f"{part!r} is not a rule: write GLOB=VALUE")
            if part:
                rules.append((glob.strip(), value.strip()))
        return cls(tuple(rules), otherwise)

    def of(self, path: str) -> str:
        return next((value for glob, value in self.rules if fnmatchcase(path, glob)), self.otherwise)
