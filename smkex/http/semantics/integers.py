"""Non-negative integers in header fields: ASCII digits only."""

INTEGER_MAX = 2**63 - 1  # larger numbers count as this; no body and no time is larger


def parse_integer(text: str | None) -> int | None:
    """Parse `1*DIGIT`, at most `INTEGER_MAX`; None if absent or invalid. No sign, space or other digits."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0") or "0"
    return min(int(digits), INTEGER_MAX) if len(digits) < 20 else INTEGER_MAX
