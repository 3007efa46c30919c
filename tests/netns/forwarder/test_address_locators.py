"""A CDN whose secondary subflows carry the edge id in the address: real edges, a real download, through a forwarder."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sized_pages
from forwarder_network import ForwarderNetwork

from balancer.model.verdict import Reason
from node.state.identity import NodeIdentity, write_identity
from node.vip import Locator, Vip

pytestmark = pytest.mark.needs("root", "netns", "bcc")

VIP = Vip("main", "198.18.7.0", "2001:db8:a::", locator=Locator.ADDRESS)
SIZE = 300_000
PAGES = Path(sized_pages.__file__)


@pytest.fixture
def edges(dual: ForwarderNetwork, tmp_path: Path) -> Iterator[None]:
    """An edge process at both edges."""
    running = []
    for number in (1, 2):
        state = tmp_path / f"edge{number}"
        state.mkdir()
        write_identity(state, NodeIdentity(number, f"edge{number}", VIP))
        command = [*dual.enter(f"edge{number}"), dual.sennit, "edge", "--state", str(state)]
        log = (tmp_path / f"edge{number}.log").open("wb")
        running.append(
            subprocess.Popen(
                [*command, "--app", f"{PAGES.stem}:app"], cwd=PAGES.parent, stdout=log, stderr=log
            )
        )
    for number in (1, 2):
        log_file = tmp_path / f"edge{number}.log"
        dual.until(lambda: "ready: edge" in log_file.read_text(), log_file.read_text)  # noqa: B023
    yield
    for edge in running:
        edge.terminate()
        edge.wait(20)


@pytest.mark.needs("mptcp")
@pytest.mark.parametrize("transport", ["tcp", "mptcp"])
@pytest.mark.parametrize("address", ["198.18.7.0", "[2001:db8:a::]"], ids=["ipv4", "ipv6"])
def test_a_download_joins_at_the_owners_address_through_another_edge(
    dual: ForwarderNetwork, edges: None, tmp_path: Path, address: str, transport: str
) -> None:
    before = {edge: dual.count(edge) for edge in ("edge1", "edge2")}
    paths = ("--path", "cell0", "--path", "wifi0", "--transport", transport)
    paths += ("--scheduler", "redundant") if transport == "tcp" else ()
    known: tuple[str, ...] = ("--known-hosts", str(tmp_path / "hosts"), "--edge-cache", "none")
    done = subprocess.run(
        [*dual.enter("phone"), dual.sennit, "get", "--json", *paths, *known, "--locator", "address",
         "-o", str(tmp_path / "got"), f"smkex://{address}/{SIZE}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "got").read_bytes() == b"a" * SIZE
    result = json.loads(done.stderr.splitlines()[-1])
    seen = [path["ingress_id"] for path in result["report"]["paths"]]
    assert seen == [1, 2], "by the owner for path 0, by the other edge for path 1"
    after = {edge: dual.count(edge) for edge in ("edge1", "edge2")}
    for edge, reason in (
        ("edge2", Reason.FORWARDED),
        ("edge1", Reason.DELIVERED),
        ("edge1", Reason.REPLY_FORWARDED),
        ("edge2", Reason.REPLY_RETURNED),
    ):
        assert after[edge][reason] > before[edge][reason], reason
