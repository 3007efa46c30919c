"""What an operator sees: counters by edge, metrics, captures."""

import subprocess
import threading
from pathlib import Path

import pytest
from forwarder_network import ForwarderNetwork
from scapy.utils import rdpcap

from balancer.datapath.run.capture import CaptureRunning, capture
from balancer.model.reference.packet import read_frame
from balancer.model.verdict import Reason

pytestmark = pytest.mark.needs("root", "netns", "bcc")


def test_a_capture_holds_the_packets_of_its_reason_alone(dual: ForwarderNetwork, tmp_path: Path) -> None:
    out = tmp_path / "resets.pcap"
    command = dual.command("edge2", "capture", "reset_unknown_id", "-o", str(out), "-c", "2")
    running = subprocess.Popen([*dual.enter("edge2"), *command])
    try:
        dual.until(lambda: out.exists() and out.stat().st_size >= 24, "the capture's start")
        with pytest.raises(CaptureRunning, match="is running"):
            capture(dual.state("edge2"), dual.state("edge2") / "bpf", Reason.FORWARDED, threading.Event(), 1)
        for address in ("203.0.113.1", "2001:db8:5e::1"):
            with pytest.raises(ConnectionRefusedError):
                dual.dial(10777, address=address)
        assert running.wait(60) == 0
    finally:
        running.kill()
    first, second = (bytes(packet) for packet in rdpcap(str(out)))
    assert [read_frame(frame).version for frame in (first, second)] == [4, 6]  # type: ignore[union-attr]
    assert all(frame[54 + 13 if frame[12:14] == b"\x86\xdd" else 34 + 13] & 4 for frame in (first, second))


def test_metrics_and_status_tell_the_traffic_with_each_edge(dual: ForwarderNetwork) -> None:
    with dual.open_socket("edge1") as listener:
        listener.bind(("203.0.113.1", 10001))
        listener.listen()
        with dual.dial(10001), listener.accept()[0]:
            text = dual.in_("edge2", "curl", "-s", "http://127.0.0.1:9465/metrics")
            status = dual.forwarder("edge2", "status")
    assert 'sennit_forwarder_edge_packets_total{edge="edge1",direction="sent"}' in text
    assert "sennit_forwarder_table_fresh 1" in text
    assert f"sennit_forwarder_generation {dual.generation}" in text
    assert "edge edge1 (id 1): sent" in status
