"""Tables of prefixes and ASes: both forms, the longest prefix, and every wrong line named."""

import contextlib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.client import as_table
from smkex.client.as_table import AsTable, InvalidAsTable

TABLE = """\
# a comment, and an empty line

192.0.2.0/24 64500
192.0.2.128/25 64501
0.0.0.0/0 64999
198.51.100.0\t24\t64502_64503
203.0.113.0\t24\t64504,64505
203.0.113.0\t24\t64506
2001:db8::/32 64510
2001:db8:5e::\t48\t64511
"""


def read(folder: Path, text: str | bytes) -> AsTable:
    file = folder / "table"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return AsTable.read(file)


@pytest.mark.parametrize(
    ("address", "origins"),
    [
        ("192.0.2.1", (64500,)),
        ("192.0.2.129", (64501,)),
        ("10.0.0.1", (64999,)),
        ("198.51.100.9", (64502, 64503)),
        ("203.0.113.9", (64504, 64505, 64506)),
        ("2001:db8:1::1", (64510,)),
        ("2001:db8:5e::1", (64511,)),
        ("2001:db9::1", ()),
    ],
)
def test_the_longest_prefix_names_the_origins(tmp_path: Path, address: str, origins: tuple[int, ...]) -> None:
    assert read(tmp_path, TABLE).find_origins(ip_address(address)) == origins


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.1/24 64500",
        "192.0.2.0/33 64500",
        "192.0.2.0/024 64500",
        "192.0.2/24 64500",
        "192.0.2.0/24 AS64500",
        "192.0.2.0/24 064500",
        "192.0.2.0/24 0",
        "192.0.2.0/24 4294967296",
        "192.0.2.0/24 64500_",
        "192.0.2.0/24",
        "2001:db8::1/32 64500",
        "2001:db8:/32 64500",
        "::/129 1",
        "192.0.2.0/24 " + "_".join(map(str, range(1, 100))),
        "\xff",
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidAsTable, match=r"table:2: "):
        read(tmp_path, f"192.0.2.0/24 1\n{line}\n".encode("latin-1"))


def test_a_table_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(as_table, "LINE_LIMIT", 2)
    with pytest.raises(InvalidAsTable, match="more than"):
        read(tmp_path, "192.0.2.0/24 1\n" * 3)
    monkeypatch.setattr(as_table, "FILE_LIMIT", 10)
    with pytest.raises(InvalidAsTable, match="more than"):
        read(tmp_path, "192.0.2.0/24 1\n")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    with contextlib.suppress(InvalidAsTable):
        read(folder, raw)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(1, 2**32 - 1)), max_size=20
    ),
    st.integers(0, 2**32 - 1),
)
def test_it_finds_what_a_search_by_hand_finds(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[int, int, int]], wanted: int
) -> None:
    networks = [(ip_network((value, length), strict=False), origin) for value, length, origin in entries]
    text = "".join(f"{network} {origin}\n" for network, origin in networks)
    address = ip_address(wanted)
    matching = [network for network, _ in networks if address in network]
    longest = max(matching, key=lambda network: network.prefixlen, default=None)
    expected = {origin for network, origin in networks if network == longest}
    table = read(tmp_path_factory.getbasetemp(), text)
    assert table.find_origins(ip_address(wanted)) == tuple(sorted(expected))
