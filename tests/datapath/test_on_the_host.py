"""The headers, compiled here with sanitizers, read what the reference reads, and never a byte beyond the packet."""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packets import CLIENT, CLIENT6, VIP, VIP6, icmp_error, tcp

from balancer.datapath.load.loaded import SOURCE
from balancer.model.reference.flow import flow_hash
from balancer.model.reference.mss import clamp_mss
from balancer.model.reference.packet import TCP_PROTOCOL, read_frame
from runtime.bpf.source import SHARED

PARSED = struct.Struct("=10I")
MSS = b"\x02\x04\x05\xb4"
FIELDS = {
    "port": st.integers(0, 65535),
    "flags": st.integers(0, 255),
    "options": st.sampled_from(
        [b"", b"\x02\x04\x05\xb4", b"\x01\x01\x01\x02\x04\x05\xb4\x00", b"\x08\x0a" + bytes(10)]
    ),
    "data": st.binary(max_size=40),
    "fragment": st.sampled_from([0, 0, 0x2000, 1]),
}
PACKETS = st.one_of(
    st.builds(tcp, st.just(CLIENT), st.just(VIP), ip_options=st.sampled_from([b"", b"\x01" * 8]), **FIELDS),
    st.builds(tcp, st.just(CLIENT6), st.just(VIP6), **FIELDS),
)
ERRORS = st.one_of(
    st.builds(icmp_error, st.builds(tcp, st.just(VIP), st.just(CLIENT), **FIELDS), st.just(VIP)),
    st.builds(
        icmp_error, st.builds(tcp, st.just(VIP6), st.just(CLIENT6), **FIELDS), st.just(VIP6), st.just(2)
    ),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    packet = bytearray(draw(st.one_of(PACKETS, PACKETS, ERRORS)))
    for _ in range(draw(st.integers(0, 2))):
        packet[draw(st.integers(14, len(packet) - 1))] = draw(st.integers(0, 255))
    return bytes(packet[: draw(st.one_of(st.just(len(packet)), st.integers(14, len(packet))))])


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    program = tmp_path_factory.mktemp("host") / "host"
    flags = [
        "-std=gnu11",
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        f"-I{SOURCE.parent}",
    ]
    relaxed = ["-fno-sanitize=alignment"]  # headers lie where they lie; the kernel's machines read them so
    source = Path(__file__).with_name("host.c")
    subprocess.run(["gcc", *flags, *relaxed, str(source), "-o", str(program)], check=True)
    running = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield running
    running.kill()
    running.wait()


def ask(host: subprocess.Popen[bytes], packet: bytes) -> tuple[int, ...]:
    stdin, stdout = host.stdin, host.stdout
    assert stdin is not None
    assert stdout is not None
    stdin.write(struct.pack("=I", len(packet)) + packet)
    stdin.flush()
    answer = stdout.read(PARSED.size)
    assert len(answer) == PARSED.size, "a sanitizer ended the program"
    return PARSED.unpack(answer)


@settings(max_examples=examples(1500), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=damaged())
def test_headers_read_what_the_reference_reads(host: subprocess.Popen[bytes], frame: bytes) -> None:
    version, l4, protocol, fragment, whole, quoted, mss, flow, extension, martian = ask(host, frame)
    packet = read_frame(frame)
    if packet is None:
        assert version == 0
        return
    read = (packet.version, packet.l4, packet.protocol, packet.fragment)
    assert (version, l4, protocol, bool(fragment)) == read
    tells_tcp = packet.protocol == TCP_PROTOCOL and packet.has_tcp()
    assert bool(whole) == tells_tcp
    segment = packet.quoted()
    assert quoted == (segment.ports[0] << 16 | segment.ports[1] if segment else 0)
    assert bool(extension) == packet.has_extension()
    assert bool(martian) == packet.is_martian()
    if tells_tcp:
        assert flow == flow_hash(packet, 7)
        if mss:
            assert clamp_mss(packet, 0) != frame or frame[l4 + mss : l4 + mss + 2] == bytes(2)
        else:
            assert clamp_mss(packet, 0) == frame


@pytest.mark.parametrize(
    "header",
    ["layout.h", "checksum.h", "packet.h", "flow.h", "tunnel.h", "mss.h", "reply.h", "budget.h"],
)
def test_a_pure_header_includes_what_it_needs(tmp_path: Path, header: str) -> None:
    compile_alone(tmp_path, "host_kernel.h", header)


@pytest.mark.parametrize("header", ["maps.h", "site.h", "encap.h"])
def test_a_header_with_maps_or_helpers_includes_what_it_needs(tmp_path: Path, header: str) -> None:
    compile_alone(tmp_path, "host_bpf.h", header)


def compile_alone(folder: Path, kernel: str, header: str) -> None:
    source = folder / "alone.c"
    source.write_text(f'#include "{kernel}"\n#include "{header}"\n')
    folders = [f"-I{SOURCE.parent}", f"-I{SHARED}", f"-I{Path(__file__).parent}"]
    flags = ["-std=gnu11", "-fsyntax-only", "-Wall", "-Werror", "-Wno-unused-function"]
    flags.append("-Wno-int-to-pointer-cast")  # packet pointers are 32 bits wide in struct __sk_buff
    done = subprocess.run(["gcc", *flags, *folders, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
