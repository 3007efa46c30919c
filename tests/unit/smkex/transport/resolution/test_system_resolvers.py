"""Which resolvers this host has for an interface, by what systemd-resolved, NetworkManager and resolv.conf say."""

import socket
from pathlib import Path

import pytest

from smkex.transport.resolution import resolv_conf, system_resolvers
from smkex.transport.resolution.system_resolvers import find_system_resolvers

# what busctl of systemd 252 prints of DNSEx and DNSOverTLS: family, address, port, server name
RESOLVED = """{"type":"a(iayqs)","data":[[2,[192,0,2,53],0,""],[10,[32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,83],5353,\
"dns.example"]]}
{"type":"s","data":"%s"}
"""
NETWORK_MANAGER = "192.0.2.53 | 192.0.2.54\n2001:db8::53\n"


class Host:
    """Folders of the daemons, programs that answer for them, and /etc/resolv.conf."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._programs = folder / "bin"
        self._programs.mkdir()
        self._conf = folder / "resolv.conf"
        monkeypatch.setenv("PATH", str(self._programs), prepend=":")
        monkeypatch.setenv("SENNIT_PATHS", str(folder / "paths"))
        monkeypatch.setattr(system_resolvers, "RESOLVED_FOLDER", folder / "resolve")
        monkeypatch.setattr(system_resolvers, "NETWORK_MANAGER_FOLDER", folder / "NetworkManager")
        monkeypatch.setattr(system_resolvers, "_recent_answers", {})
        monkeypatch.setattr(resolv_conf.read_resolv_conf, "__defaults__", (self._conf,))
        self._folder = folder

    def resolved(self, script: str) -> None:
        self._make_daemon("resolve", "busctl", script)

    def network_manager(self, script: str) -> None:
        self._make_daemon("NetworkManager", "nmcli", script)

    def conf(self, *lines: str) -> None:
        self._conf.write_text("".join(f"{line}\n" for line in lines))

    def asked(self) -> str:
        return (self._folder / "asked").read_text()

    def _make_daemon(self, folder: str, program: str, script: str) -> None:
        (self._folder / folder).mkdir()
        file = self._programs / program
        file.write_text(f'#!/bin/sh\necho "$0 $*" >> {self._folder}/asked\n{script}\n')
        file.chmod(0o755)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def print_text(text: str) -> str:
    return f"cat <<'END'\n{text}END"


async def found(interface: str = "eth9") -> list[str]:
    return [str(one) for one in await find_system_resolvers(interface)]


async def test_resolved_has_servers_for_each_link(host: Host) -> None:
    host.resolved(print_text(RESOLVED % "no"))
    assert await found("lo") == ["192.0.2.53", "[2001:db8::53]:5353"]
    index = str(socket.if_nametoindex("lo"))
    assert f"/org/freedesktop/resolve1/link/_{ord(index[0]):x}{index[1:]} " in host.asked()


async def test_a_daemon_is_not_asked_for_each_of_many_connections(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.resolved(print_text(RESOLVED % "no"))
    for _ in range(5):
        await found("lo")
    assert host.asked().count("\n") == 1
    monkeypatch.setattr(system_resolvers, "ANSWER_LIFETIME", 0.0)
    await found("lo")
    assert host.asked().count("\n") == 2


async def test_a_link_that_must_use_tls_does(host: Host) -> None:
    host.resolved(print_text(RESOLVED % "yes"))
    assert await found("lo") == ["tls://192.0.2.53:853", "tls://[2001:db8::53]:5353#dns.example"]


@pytest.mark.parametrize(
    "script",
    ["exit 1", "echo rubbish", "echo '{}'", print_text(RESOLVED.replace("192", "999") % "no"), "echo '[1]'"],
)
async def test_where_resolved_does_not_say_others_do(host: Host, script: str) -> None:
    host.resolved(script)
    host.network_manager(print_text(NETWORK_MANAGER))
    assert await found("lo") == ["192.0.2.53", "192.0.2.54", "2001:db8::53"]
    assert "device show lo" in host.asked()


async def test_a_daemon_that_hangs_is_given_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_resolvers, "ASK_TIMEOUT", 0.2)
    host.resolved("exec sleep 60")
    host.conf("nameserver 192.0.2.1")
    assert await found("lo") == ["192.0.2.1"]


async def test_a_daemon_that_is_not_there_is_not_asked(host: Host) -> None:
    host.conf("# comment", "nameserver 192.0.2.1", "search example", "nameserver rubbish", "nameserver")
    assert await found() == ["192.0.2.1"]


async def test_link_local_resolvers_count_on_their_own_link(host: Host) -> None:
    host.conf("nameserver fe80::1%wifi0", "nameserver fe80::2%eth9", "nameserver 192.0.2.1")
    assert await found("eth9") == ["fe80::2", "192.0.2.1"]


async def test_a_resolver_on_this_host_knows_no_paths(host: Host) -> None:
    host.conf("nameserver 127.0.0.53")
    with pytest.raises(OSError, match=r"127\.0\.0\.53, on this host, .*--resolver eth9=ADDRESS"):
        await found()
    assert await found("lo") == ["127.0.0.53"]


async def test_no_resolver_at_all_says_what_to_do(host: Host) -> None:
    with pytest.raises(OSError, match="names no resolver; give --resolver eth9=ADDRESS"):
        await found()


async def test_a_relay_says_which_resolvers_it_lets_through(host: Host, tmp_path: Path) -> None:
    (tmp_path / "paths").mkdir()
    described = tmp_path / "paths" / "lo.json"
    text = (
        '{"interface": "lo", "relay": "r1", "endpoint": "198.51.100.7:51820", "underlay": "eth9",'
        ' "prefixes": ["203.0.113.0/24"], "resolvers": [%s]}'
    )
    described.write_text(text % '"198.51.100.53"')
    assert await found("lo") == ["198.51.100.53"]
    described.write_text(text % "")
    with pytest.raises(OSError, match="relay r1 lets no resolver through"):
        await found("lo")
