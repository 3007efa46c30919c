"""Freshness that an operator sets beside what the origin says."""

from dataclasses import dataclass

from edge.http.fields import Fields

# what `override` stands in place of; no-store, private and cookies still keep a response out of the store
_OVERRIDDEN = frozenset({"max-age", "s-maxage", "no-cache", "must-revalidate", "proxy-revalidate"})


@dataclass(frozen=True, slots=True)
class LifetimePolicy:
    """Seconds, None where the origin decides. `negative` counts for errors that name no lifetime."""

    override: float | None = None
    default: float | None = None
    negative: float = 0
    stale_while_revalidate: float | None = None
    stale_if_error: float | None = None

    def effective_control(self, control: dict[str, str], *, is_error: bool) -> dict[str, str]:
        """Return the response's directives as this policy has them count."""
        if self.override is not None and not is_error:
            control = {name: value for name, value in control.items() if name not in _OVERRIDDEN}
        stale = (
            ("stale-while-revalidate", self.stale_while_revalidate),
            ("stale-if-error", self.stale_if_error),
        )
        return control | {name: str(int(seconds)) for name, seconds in stale if seconds is not None}


NO_POLICY = LifetimePolicy()
DIRECTIVE_FIELDS = frozenset({"cache-control", "pragma"})  # with directives of a request


def without_directives(fields: Fields) -> Fields:
    """Return a request's fields without its cache directives."""
    return {name: value for name, value in fields.items() if name not in DIRECTIVE_FIELDS}
