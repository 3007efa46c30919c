"""A request's key stands for what the origin is asked, however the client writes it."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.request import ClientRequest, normalize_target, url_cache_key


def asked(target: bytes) -> ClientRequest:
    path, _, query = target.partition(b"?")
    headers = [(b"host", b"cdn.example")]
    return ClientRequest.of({"method": "GET", "raw_path": path, "query_string": query, "headers": headers})


@pytest.mark.parametrize("target", [b"/x/../a?q", b"/./a?q", b"/x/y/../../a?q", b"/../a?q"])
def test_dot_segments_make_no_second_copy_that_a_purge_would_miss(target: bytes) -> None:
    assert asked(target).key == url_cache_key("https://cdn.example/a?q") == "cdn.example /a?q"


def test_what_a_url_writes_in_quotes_is_one_key_with_and_without() -> None:
    assert asked(b'/a"b').key == asked(b"/a%22b").key == url_cache_key('https://cdn.example/a"b')


@given(st.binary(min_size=1, max_size=40))
def test_the_origin_is_asked_for_what_the_key_says(target: bytes) -> None:
    try:
        plain = normalize_target(b"/" + target)
    except ValueError:
        return
    assert plain.startswith(b"/")
    assert normalize_target(plain) == plain
    assert httpx.URL("http://origin").copy_with(raw_path=plain).raw_path == plain


@pytest.mark.parametrize("target", [b"*", b"a", b"", b"/\xe4", b"/\x01"])
def test_what_no_url_holds_is_refused(target: bytes) -> None:
    with pytest.raises(ValueError):
        asked(target)


@pytest.mark.parametrize("url", ["http://a:b/", "/\x00", "http://" + "a" * 70_000])
def test_what_is_no_url_has_no_key(url: str) -> None:
    with pytest.raises(ValueError):
        url_cache_key(url)


@pytest.mark.parametrize(("length", "sent"), [(b"005", "5"), (b"0010", "10"), (b"000", "0"), (b"7", "7")])
def test_a_length_is_forwarded_without_leading_zeros(length: bytes, sent: str) -> None:
    headers = [(b"host", b"cdn.example"), (b"content-length", length)]
    request = ClientRequest.of({"method": "POST", "raw_path": b"/", "query_string": b"", "headers": headers})
    assert request.fields["content-length"] == sent
