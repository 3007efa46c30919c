"""HTTP dates (RFC 9110 section 5.6.7): three forms, always UTC.

They are matched without regard to case, as RFC 9111 section 4.2 recommends.
"""

import calendar
import re
import time
from datetime import date
from email.utils import formatdate

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} gmt",
        rf"(?:mon|tues|wednes|thurs|fri|satur|sun)day, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} gmt",
        rf"(?:mon|tue|wed|thu|fri|sat|sun) {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def parse_http_date(text: str | None, now: float | None = None) -> float | None:
    """Parse IMF-fixdate, rfc850-date or asctime-date to seconds since the epoch; None if absent or invalid.

    A two-digit year that would lie more than 50 years after `now` is in the past century.
    """
    if text is None:
        return None
    for form in _FORMS:
        if (match := form.fullmatch(text)) is not None:
            return _seconds_since_epoch(match, time.time() if now is None else now)
    return None


def format_http_date(seconds: float) -> str:
    """Format as IMF-fixdate."""
    return formatdate(seconds, usegmt=True)


def _seconds_since_epoch(match: re.Match[str], now: float) -> float | None:
    day, hour, minute, second = (int(match[name]) for name in ("day", "hour", "minute", "second"))
    month = _MONTHS.index(match["month"].lower()) + 1
    year = int(match["year"])
    if len(match["year"]) == 2:
        this_year = time.gmtime(now).tm_year
        year += this_year - this_year % 100
        year -= 100 if year > this_year + 50 else 0
    try:
        date(year, month, day)
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:  # 60: a leap second
        return None
    return float(calendar.timegm((year, month, day, hour, minute, second)))
