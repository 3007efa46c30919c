"""The arguments of tc in both labs, on kernels with netem and without."""

import pytest

from lab.compose.slow_link import clear_link, set_link
from lab.emulation import netem
from lab.emulation.impairment import Impairment
from lab.errors import LabFailed
from lab.topology import LAB

LINK = LAB.link("phone-ispa")


class Containers:
    """Notes what is executed; `without` are kinds of qdisc that the kernel has not."""

    def __init__(self, *without: str) -> None:
        self.without = without
        self.executed: list[tuple[str, ...]] = []

    def __call__(self, node: str, *command: str) -> tuple[int, str]:
        if any(kind in command for kind in self.without):
            return 2, "Error: Specified qdisc kind is unknown.\n"
        self.executed.append((node, *command))
        return 0, ""


def test_netem_takes_delay_rate_and_a_queue_beside_what_is_on_its_way() -> None:
    words = netem.netem_arguments("cell0", Impairment(0.14, 50e6, 151_400))
    assert " ".join(words) == "qdisc replace dev cell0 root netem limit 678 delay 140000us rate 50000000bit"


def test_containers_get_netem_at_both_ends() -> None:
    containers = Containers()
    assert "netem" in set_link(containers, LINK, Impairment(0.01))
    assert [(node, *rest[:5]) for node, *rest in containers.executed] == [
        ("phone", "tc", "qdisc", "replace", "dev", "cell0"),
        ("ispa", "tc", "qdisc", "replace", "dev", "phone"),
    ]


def test_without_netem_a_rate_alone_works_and_a_delay_is_refused_with_the_reason() -> None:
    containers = Containers("netem")
    assert "tbf" in set_link(containers, LINK, Impairment(rate=50e6))
    with pytest.raises(LabFailed, match="no netem"):
        set_link(containers, LINK, Impairment(0.01, 50e6))
    with pytest.raises(LabFailed, match="tc on phone"):
        set_link(Containers("netem", "tbf"), LINK, Impairment(rate=50e6))


def test_clearing_takes_both_ends_discipline_away() -> None:
    containers = Containers()
    clear_link(containers, LINK)
    assert [command[:4] for command in containers.executed] == [
        ("phone", "tc", "qdisc", "del"),
        ("ispa", "tc", "qdisc", "del"),
    ]


def test_nothing_to_do_is_reported() -> None:
    with pytest.raises(LabFailed, match="--clear"):
        set_link(Containers(), LINK, Impairment())


def test_an_unknown_link_is_reported_with_the_known_ones() -> None:
    with pytest.raises(LabFailed, match="phone-ispa, phone-ispb"):
        LAB.link("phone-moon")
