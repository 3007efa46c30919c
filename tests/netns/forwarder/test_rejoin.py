"""A real session loses the ingress edge of its second path, joins anew by a third edge, and can live on that alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sized_pages
from forwarder_network import ForwarderNetwork

from balancer.model.table import EdgeState
from balancer.model.verdict import Reason
from node.state.catalogue import NODE

pytestmark = pytest.mark.needs("root", "netns", "bcc")

CLIENT = Path(__file__).with_name("staying_client.py")
SIZE = 32 << 20  # more than all buffers of a session
PAGES = Path(sized_pages.__file__)


def test_a_download_outlives_its_ingress_edge_and_then_its_first_path(
    three: ForwarderNetwork, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    NODE.write_object(state, NODE.read_object(three.state("edge1")))
    log = tmp_path / "edge.log"
    serve = [*three.enter("edge1"), three.sennit, "edge", "--state", str(state), "--app", f"{PAGES.stem}:app"]
    with (
        log.open("wb") as output,
        subprocess.Popen(serve, cwd=PAGES.parent, stdout=output, stderr=output) as edge,
    ):
        try:
            three.until(lambda: "ready: edge" in log.read_text(), log.read_text)
            found = download(three)
        finally:
            edge.terminate()
    assert found == {"status": "200", "bytes": SIZE, "paths": [["cell0", 1], ["wifi0", 2], ["lte0", 3]]}
    assert three.count("edge3")[Reason.FORWARDED] > 0
    assert three.count("edge3")[Reason.REPLY_RETURNED] > (SIZE // 4) >> 16, "it carried the rest"


def download(three: ForwarderNetwork) -> dict[str, object]:
    command = [*three.enter("phone"), sys.executable, str(CLIENT), str(SIZE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            assert client.stdout.readline() == "running\n"
            three.cut_off("edge2")
            three.publish(edge2=EdgeState.DOWN)
            three.applied(but="edge2")
            print("go on", file=client.stdin, flush=True)
            assert client.stdout.readline() == "joined\n"
            three.in_("phone", "ip", "link", "set", "cell0", "down")
            print("go on", file=client.stdin, flush=True)
            result: dict[str, object] = json.loads(client.stdout.readline())
            return result
        finally:
            client.kill()
