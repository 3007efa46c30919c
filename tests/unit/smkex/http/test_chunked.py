"""The chunked coding of responses: what is accepted, what is refused, whole, byte by byte and with bytes behind."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.chunked import ChunkedDecoder

LIMIT = 1000
END = b"0\r\n\r\n"


def decoded(*pieces: bytes) -> tuple[bytes, ChunkedDecoder]:
    decoder = ChunkedDecoder(LIMIT)
    return b"".join(part for piece in pieces for part in decoder.decode(piece)), decoder


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


VALID = [
    b"4", b"04", b"4;a=b", b"4 ; a=b", b"4\t;\ta = b", b'4 ; a = "x; y" ; c', b"4 ;", b"4 ", b"4;caf\xe9",
]  # fmt: skip


@pytest.mark.parametrize("line", VALID)
@pytest.mark.parametrize("trailers", [b"", b"x: y\r\nz:\r\n"])
def test_white_space_and_extensions_are_no_part_of_a_size(line: bytes, trailers: bytes) -> None:
    coded = line + b"\r\nabcd\r\n" + line.replace(b"4", b"0") + b"\r\n" + trailers + b"\r\n"
    for pieces in ([coded], one_by_one(coded)):
        body, decoder = decoded(*pieces)
        assert (body, decoder.ended, decoder.left_over) == (b"abcd", True, b"")
    for pieces in ([coded + b"more"], [*one_by_one(coded), b"mo", b"re"]):
        body, decoder = decoded(*pieces)
        assert (body, decoder.ended, decoder.left_over) == (b"abcd", True, b"more")
    for length in range(len(coded)):
        assert not decoded(coded[:length])[1].ended


INVALID = [
    b"", b"x", b"-4", b"+4", b"0x4", b" 4", b"4 x", b"4 4", b"4;a\rb", b"4;a\nb", b"4\n;a", b"4;\x00", b"4\x0b",
    b"1" * 17,
]  # fmt: skip


@pytest.mark.parametrize("line", INVALID)
def test_an_invalid_size_is_an_error(line: bytes) -> None:
    for pieces in ([line + b"\r\nabcd\r\n" + END], one_by_one(line + b"\r\nabcd\r\n" + END)):
        with pytest.raises(ValueError):
            decoded(*pieces)


@pytest.mark.parametrize(
    "coded", [b"4\r\nabcde\r\n" + END, b"0\r\n x: y\r\n\r\n", b"0\r\nx\r\n\r\n", b"0\r\nx : y\r\n\r\n"]
)
def test_what_is_longer_than_its_size_or_no_trailer_is_an_error(coded: bytes) -> None:
    for pieces in ([coded], one_by_one(coded)):
        with pytest.raises(ValueError):
            decoded(*pieces)


@pytest.mark.parametrize(
    "coded",
    [
        b"1;" + b"x" * LIMIT + b"\r\na\r\n" + END,
        (b"1;" + b"x" * 100 + b"\r\na\r\n") * 11 + END,
        b"0\r\n" + b"x: y\r\n" * 300 + b"\r\n",
        b"0\r\nx: " + b"y" * LIMIT,
        b"4;" + b"x" * LIMIT,
    ],
    ids=["one extension", "of all chunks", "trailers", "one trailer", "a line without end"],
)
def test_extensions_and_trailers_are_bounded_over_the_whole_body(coded: bytes) -> None:
    for pieces in ([coded], one_by_one(coded)):
        with pytest.raises(ValueError, match="exceed"):
            decoded(*pieces)


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.lists(st.integers(0, 5000), max_size=10)
)
def test_a_body_is_what_its_chunks_say_however_it_is_cut(chunks: list[bytes], cuts: list[int]) -> None:
    coded = b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + END
    ends = sorted({min(cut, len(coded)) for cut in cuts} | {0, len(coded)})
    body, decoder = decoded(*(coded[a:b] for a, b in pairwise(ends)))
    assert (body, decoder.ended, decoder.left_over) == (b"".join(chunks), True, b"")
