"""The cache rules of a service, compiled: the first that matches path and method counts."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.cache.rules.lifetimes import LifetimePolicy
from edge.services.key_rule import KeyRule
from edge.services.path_glob import PathGlob
from services.cache_rules import CacheRule, Lifetimes


@dataclass(frozen=True, slots=True, eq=False)
class CompiledRule:
    """How one request is cached."""

    path: PathGlob = field(repr=False)
    methods: frozenset[str]
    bypass: bool
    policy: LifetimePolicy
    key: KeyRule = field(repr=False)
    client_directives: bool


class RuleList:
    """The rules in order, and a last one for everything. `negative` is the lifetime of errors where no rule sets it."""

    def __init__(self, rules: Iterable[CacheRule], negative: float) -> None:
        self._rules = [_compile_rule(rule, negative) for rule in rules]
        self._default = _compile_rule(CacheRule(), negative)

    def find_rule(self, method: str, path: str) -> CompiledRule:
        """Return the rule of a request; `path` is canonical and without its query. Other methods are as GET."""
        method = "HEAD" if method == "HEAD" else "GET"
        for rule in self._rules:
            if method in rule.methods and rule.path.matches(path):
                return rule
        return self._default


def _compile_rule(rule: CacheRule, negative: float) -> CompiledRule:
    return CompiledRule(
        PathGlob(rule.path),
        frozenset(rule.methods),
        rule.bypass,
        _compile_policy(rule.lifetimes, negative),
        KeyRule(rule.key),
        rule.client_directives,
    )


@functools.lru_cache(maxsize=4096)  # equal policies are one object: stored responses are not examined again
def _compile_policy(lifetimes: Lifetimes, negative: float) -> LifetimePolicy:
    return LifetimePolicy(
        lifetimes.override,
        lifetimes.default,
        negative if lifetimes.negative is None else lifetimes.negative,
        lifetimes.stale_while_revalidate,
        lifetimes.stale_if_error,
    )
