"""The programs call nothing that Linux 6.1 (Debian 12) has not."""

import struct

import pytest
from loaded_programs import Programs

from balancer.datapath.load.loaded import FAST, PROGRAMS

pytestmark = pytest.mark.needs("root", "bcc")

INSTRUCTION = struct.Struct("=BBhi")
CALL, HELPER = (
    0x85,
    0,
)  # a call, and of what: a helper, not a function of the kernel (which have no promise to stay)
NEWEST = 209  # bpf_user_ringbuf_drain, Linux 6.1; bpf_cgrp_storage_get (210) came with 6.2


@pytest.mark.parametrize("name", [*PROGRAMS, *FAST])
def test_every_helper_is_there_since_linux_6_1(programs: Programs, name: str) -> None:
    code = programs.loaded.instructions(name)
    calls = [
        (registers >> 4, number)
        for code, registers, _, number in INSTRUCTION.iter_unpack(code)
        if code == CALL
    ]
    assert calls or name == "backbone_xdp"
    assert all(kind == HELPER and 0 < number <= NEWEST for kind, number in calls), sorted(set(calls))
