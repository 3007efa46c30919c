"""The programs leave room on the stack: another release of LLVM keeps more in it, and above 512 bytes none loads."""

import struct

import pytest
from loaded_programs import Programs

pytestmark = pytest.mark.needs("root", "bcc")

LIMIT = 512  # bytes, of the verifier and of LLVM
SPARE = 32  # LLVM 19 took 72 bytes more than LLVM 14 for tunnel_ingress: 464
FRAME = 10  # the register that points to the end of the stack
LOADS, STORES = {0x61, 0x69, 0x71, 0x79}, {0x62, 0x63, 0x6A, 0x6B, 0x72, 0x73, 0x7A, 0x7B}
COPY, ADD = 0xBF, 0x07  # dst = src; dst += constant


def _stack_depth(code: bytes) -> int:
    """Return the bytes below the frame pointer that a program reads, writes or takes the address of."""
    deepest, copied = 0, -1
    for code_of, registers, offset, constant in struct.iter_unpack("<BBhi", code):
        target, source = registers & 15, registers >> 4
        if (code_of in LOADS and source == FRAME) or (code_of in STORES and target == FRAME):
            deepest = min(deepest, offset)
        if code_of == ADD and target == copied:
            deepest = min(deepest, constant)
        copied = target if code_of == COPY and source == FRAME else -1
    return -deepest


def test_every_program_leaves_room_on_the_stack(programs: Programs) -> None:
    loaded = programs.loaded
    depths = {name: _stack_depth(loaded.instructions(name)) for name in loaded.programs}
    assert max(depths.values()) > 256  # it does measure
    assert {name: depth for name, depth in depths.items() if depth > LIMIT - SPARE} == {}
