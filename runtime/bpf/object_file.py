"""Load an object compiled ahead by clang: programs and maps with BTF, in an ELF file."""

import ctypes
import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.bpf.library import PRINT, load_libbpf

_WARNING = 0  # LIBBPF_WARN
_KEPT = 12  # lines of libbpf's warnings, which end with the verifier's, that an error shows
_INSTRUCTION = 8  # bytes
_printing = threading.Lock()  # libbpf has one print function a process


class ObjectRefused(Exception):
    """libbpf or the kernel does not take the object; the text ends with what they said."""


class ObjectFile:
    """Programs and maps of one object, in the kernel until this is collected or what was attached or pinned is gone."""

    def __init__(self, path: Path, programs: Sequence[str]) -> None:
        """Load `programs`, and every map that they use. Raises `ObjectRefused`, `library.LibbpfMissing`."""
        with _collected_warnings() as warnings:
            opened = load_libbpf().bpf_object__open_file(os.fsencode(path), None)
            if not opened:
                raise ObjectRefused(f"cannot open {path}: {_last_lines(warnings)}")
            self._opened = ctypes.c_void_p(opened)
            weakref.finalize(self, load_libbpf().bpf_object__close, self._opened)
            self._programs = dict(self._list_programs())
            if missing := set(programs) - self._programs.keys():
                raise ObjectRefused(f"{path} has no program {', '.join(sorted(missing))}")
            for name, program in self._programs.items():
                load_libbpf().bpf_program__set_autoload(program, name in programs)
            try:
                load_libbpf().bpf_object__load(self._opened)
            except OSError as error:
                raise ObjectRefused(f"{path}: {error.strerror}: {_last_lines(warnings)}") from None

    def _list_programs(self) -> Iterator[tuple[str, ctypes.c_void_p]]:
        at = None
        while at := load_libbpf().bpf_object__next_program(self._opened, at):
            yield load_libbpf().bpf_program__name(at).decode(), ctypes.c_void_p(at)

    def program(self, name: str) -> int:
        """Return the descriptor of a loaded program."""
        return int(load_libbpf().bpf_program__fd(self._programs[name]))

    def map(self, name: str) -> int:
        """Return the descriptor of a map. Raises FileNotFoundError."""
        return int(load_libbpf().bpf_object__find_map_fd_by_name(self._opened, name.encode()))

    def instructions(self, name: str) -> bytes:
        """Return a program as it was loaded."""
        program = self._programs[name]
        size = load_libbpf().bpf_program__insn_cnt(program) * _INSTRUCTION
        return ctypes.string_at(load_libbpf().bpf_program__insns(program), size)


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Collect what libbpf would print to stderr."""
    warnings: list[str] = []
    libc = ctypes.CDLL(None)

    def collect(level: int, form: bytes, arguments: int) -> int:
        text = ctypes.c_char_p()
        if level == _WARNING and libc.vasprintf(ctypes.byref(text), form, ctypes.c_void_p(arguments)) >= 0:
            warnings.extend((text.value or b"").decode(errors="replace").splitlines())
            libc.free(text)
        return 0

    called = PRINT(collect)
    with _printing:
        earlier = load_libbpf().libbpf_set_print(called)
        try:
            yield warnings
        finally:
            load_libbpf().libbpf_set_print(ctypes.cast(earlier, PRINT))


def _last_lines(warnings: list[str]) -> str:
    return "\n".join(warnings[-_KEPT:]) or "without a reason"
