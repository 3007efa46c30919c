"""The kernel's own emulation: the words for `tc` that make one end of a link send like this."""

import math

from lab.emulation.impairment import FRAME, Impairment

BURST = 16 * FRAME  # bytes that tbf lets through at once


def netem_arguments(interface: str, impairment: Impairment) -> list[str]:
    """`tc ...` for netem."""
    on_the_way = impairment.delay * (impairment.rate or 10e9) / 8
    limit = math.ceil((on_the_way + impairment.queue_bytes) / FRAME)
    command = ["qdisc", "replace", "dev", interface, "root", "netem", "limit", str(limit)]
    command += ["delay", f"{impairment.delay * 1e6:.0f}us"]
    return [*command, "rate", f"{impairment.rate:.0f}bit"] if impairment.rate else command


def rate_words(interface: str, impairment: Impairment) -> list[str]:
    """`tc ...` for a rate alone, which every kernel can (tbf)."""
    command = ["qdisc", "replace", "dev", interface, "root", "tbf", "rate", f"{impairment.rate:.0f}bit"]
    return [*command, "burst", str(BURST), "limit", str(impairment.queue_bytes + BURST)]


def clear_words(interface: str) -> list[str]:
    """`tc ...` that leaves nothing; fails where there is nothing."""
    return ["qdisc", "del", "dev", interface, "root"]
