"""docs/metrics.md has a row for every metric of agent and edge, and for no other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("daemon", "sources"),
    [
        ("agent", ["balancer/agent/metrics.py"]),
        (
            "edge",
            [f"edge/server/status/{name}.py" for name in ("metrics", "service_metrics", "origin_metrics")],
        ),
    ],
)
def test_every_metric_has_its_row(daemon: str, sources: list[str]) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = set(re.findall(rf"^\| `sennit_{daemon}_(\w+)", page, re.MULTILINE))
    code = "\n".join((ROOT / source).read_text() for source in sources)
    names = set(re.findall(rf'"sennit_{daemon}_(\w+)"', code))
    names |= set(re.findall(r'_gauge\(\s*"(\w+)"', code)) | set(
        re.findall(r'^\s+\("(\w+)", "', code, re.MULTILINE)
    )
    names = {f"{name}_total" if name == "handshake_failures" else name for name in names}
    assert rows == names
