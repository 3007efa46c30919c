"""Messages go exactly where they are sent, and nothing else is accepted. Real kernel, two links."""

import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.needs("netns", "mptcp")

JOIN = ["join", 10001]
HANDSHAKE: list[list[Any]] = [
    ["client", 0, 111],
    ["server", 0, 222],
    JOIN,
    ["client", 1, 64],
    ["server", 1, 96],
]


def test_the_four_messages_and_both_finished_go_over_their_paths_to_the_byte(links: Any) -> None:
    steps = [*HANDSHAKE, ["client", 1, 41], ["client", 0, 40], ["server", 0, 42]]
    client, server = links.exchange(steps)
    assert (client["error"], server["error"]) == (None, None)
    assert client["local"] == ["10.1.0.2", "10.2.0.2"]
    assert client["remote_port"] == [443, 10001]
    assert client["sent"] == server["received"] == [111 + 40, 64 + 41]
    assert client["received"] == server["sent"] == [222 + 42, 96]


def test_many_alternations_in_both_directions_stay_exact(links: Any) -> None:
    alternating = [
        [sender, path, 100 + 7 * i + path]
        for i in range(40)
        for sender, path in (("client", i // 2 % 2), ("client", i % 2), ("server", i % 2))
    ]
    client, server = links.exchange([*HANDSHAKE, *alternating])

    def total(sender: str) -> list[int]:
        steps = [step for step in [*HANDSHAKE, *alternating] if step[0] == sender]
        return [sum(size for _, path, size in steps if path == wanted) for wanted in (0, 1)]

    assert (client["error"], server["error"]) == (None, None)
    assert client["sent"] == server["received"] == total("client")
    assert server["sent"] == client["received"] == total("server")


def test_the_client_sees_the_announced_locator_and_does_not_dial_it(links: Any) -> None:
    client, server = links.exchange(
        [["client", 0, 10], ["server", 0, 20], ["client", 0, 1], ["server", 0, 1]]
    )
    assert client["announced"] == [["203.0.113.1", 10001]]
    assert client["remote_port"] == [443]
    assert server["local"] == ["203.0.113.1"]


@pytest.mark.parametrize("prefer", [0, 1])
def test_after_release_the_connection_is_an_ordinary_stream(links: Any, prefer: int) -> None:
    client, server = links.exchange(
        [*HANDSHAKE, ["client", prefer, 9], ["server", prefer, 9]], stream=1 << 20
    )
    assert (client["error"], server["error"]) == (None, None)
    assert client["streamed"][prefer] >= 1 << 20
    assert client["streamed"][1 - prefer] == 0


def test_a_server_that_marks_the_clients_path_fails_the_client_instead_of_spreading_the_stream(
    links: Any,
) -> None:
    """Both paths would be backup, and the kernel would use both."""
    steps = [*HANDSHAKE, ["client", 0, 9], ["mark", 0], ["server", 0, 9]]
    server = links.start("server", steps=steps, timeout=20)
    server.wait_ready()
    client = links.start("client", steps=[*steps[:-1], ["client", 0, 9]], timeout=5).result()
    assert client["error"] == "MptcpTimedOut"
    assert "path 0 could not be steered to" in client["message"]
    assert server.result()["error"] in ("MptcpTimedOut", "PeerClosed")


def test_a_server_answers_on_the_clients_last_path_only(links: Any) -> None:
    steps = [*HANDSHAKE, ["client", 1, 9], ["server", 0, 9]]
    server = links.start("server", steps=steps, timeout=5)
    server.wait_ready()
    client = links.start("client", steps=steps, timeout=20)
    refused = server.result()
    assert refused["error"] == "MptcpTimedOut"
    assert "path 0 could not be steered to" in refused["message"]
    assert client.result()["error"] == "PeerClosed"


@pytest.mark.parametrize("prefer", [0, 1])
def test_lost_changes_of_priority_are_made_up_for(links: Any, prefer: int) -> None:
    """Every second MP_PRIO is lost, in both directions: messages and stream go where they should all the same."""
    drop = """
table ip lossy {
  chain in {
    type filter hook prerouting priority -150;
    tcp option mptcp subtype 5 meta length < 100 numgen inc mod 2 == 0 counter drop
  }
}
"""
    for namespace in (links.phone, links.server):
        subprocess.run(
            ["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=drop, text=True, check=True
        )
    client, server = links.exchange(
        [*HANDSHAKE, ["client", 1 - prefer, 8], ["client", prefer, 9], ["server", prefer, 9]],
        stream=1 << 20,
        timeout=20,
    )
    assert (client["error"], server["error"]) == (None, None)
    assert client["streamed"][prefer] >= 1 << 20
    assert client["streamed"][1 - prefer] == 0


def test_a_message_on_the_wrong_path_is_refused_by_its_receiver(links: Any) -> None:
    server = links.start("server", steps=[*HANDSHAKE, ["client", 0, 50]])
    server.wait_ready()
    client = links.start("client", steps=[*HANDSHAKE, ["client", 1, 50], ["server", 0, 1]])
    refused = server.result()
    assert refused["error"] == "MptcpWrongPath", refused
    assert client.result()["error"] == "PeerClosed"


def test_more_bytes_than_the_message_has_are_refused(links: Any) -> None:
    server = links.start("server", steps=[["client", 0, 50], ["server", 0, 1]])
    server.wait_ready()
    links.start("client", steps=[["client", 0, 51], ["server", 0, 1]])
    assert server.result()["error"] == "MptcpWrongPath"


def test_a_sender_notices_that_its_bytes_went_another_way(links: Any) -> None:
    server = links.start("server", steps=[*HANDSHAKE, ["client", 0, 50]])
    server.wait_ready()
    client = links.start("client", steps=[*HANDSHAKE, ["misroute", 0, 50]])
    result = client.result()
    assert result["error"] == "MptcpWrongPath", result
    assert "sent on path 1" in result["message"]


def test_an_unexpected_subflow_ends_it_at_both_ends(links: Any) -> None:
    steps = [*HANDSHAKE, ["extra", 10001], ["client", 0, 5], ["server", 0, 5]]
    server = links.start("server", steps=steps)
    server.wait_ready()
    client = links.start("client", steps=steps)
    assert client.result()["error"] == "UnexpectedSubflow"
    assert server.result()["error"] in ("UnexpectedSubflow", "PeerClosed")


def test_a_subflow_that_is_gone_ends_it(links: Any) -> None:
    steps = [*HANDSHAKE, ["destroy", 1], ["client", 0, 5]]
    server = links.start("server", steps=steps)
    server.wait_ready()
    client = links.start("client", steps=steps)
    assert client.result()["error"] in ("MissingSubflow", "PeerClosed")
    assert server.result()["error"] in ("MissingSubflow", "PeerClosed")
