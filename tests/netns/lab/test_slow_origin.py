"""An origin slows down, and an operator finds it by `services top`, `services origins` and the access log alone."""

import pytest

from lab.namespace.place import LabFolder
from lab.namespace.running import NamespaceLab
from lab.scenarios.slow_origin import OperatorWalk, walk_slow_origin
from lab.scenarios.verdict import Verdict
from lab.topology import LAB

pytestmark = pytest.mark.needs("root", "netns", "bcc", "mptcp", "bird")


def test_a_slow_origin_is_found(place: LabFolder) -> None:
    verdict, walk = Verdict("slow-origin", "namespaces"), OperatorWalk()
    walk_slow_origin(NamespaceLab(place, LAB), verdict, walk)
    assert verdict.ok, verdict.text()
    assert len(verdict.findings) == 6
    assert [title.partition(",")[0] for title, _, _ in walk.steps] == [
        "before",
        "which service",
        "which origin",
        "which requests",
        "one of them",
    ]
