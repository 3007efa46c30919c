"""All cases of the conformance suite, by subject."""

from cache_cases import content, directives, freshness, invalidating, selecting, targeted, validation
from cache_cases.case import Case

SUBJECTS: dict[str, list[Case]] = {
    "Freshness: sources": freshness.SOURCES,
    "Freshness: Age and Date": freshness.AGES,
    "Freshness: Expires": freshness.EXPIRES,
    "Statuses with a lifetime": freshness.BY_STATUS,
    "Statuses without a lifetime": freshness.HEURISTICS,
    "Cache-Control as a list": directives.PARSING,
    "Directives of responses": directives.RESPONSES,
    "Directives of requests": directives.REQUESTS,
    "Credentials and cookies": directives.AUTHORIZATION,
    "Targeted directives": targeted.CASES,
    "Vary": selecting.VARY,
    "Keys": selecting.KEYS,
    "Validation": validation.SENT,
    "Conditions of clients": validation.CLIENT,
    "Renewal by 304": validation.RENEWALS,
    "Ranges": content.RANGES,
    "Methods": content.METHODS,
    "Interim and empty responses": content.STATUSES,
    "Fields": content.FIELDS,
    "Invalidation": invalidating.INVALIDATION,
    "Stale responses": invalidating.STALE,
}
SUITE = [case for cases in SUBJECTS.values() for case in cases]
