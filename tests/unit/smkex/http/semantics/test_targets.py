"""Authorities and targets have one canonical form, and normalizing twice changes nothing."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smkex.http.semantics.authority import Authority
from smkex.http.semantics.targets import normalize_target, parse_target, parse_url, resolve_reference


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("cdn.lab", "cdn.lab"),
        ("CDN.Lab.", "cdn.lab"),
        ("cdn.lab:80", "cdn.lab"),
        ("cdn.lab:443", "cdn.lab"),
        ("cdn.lab:", "cdn.lab"),
        ("cdn.lab:0080", "cdn.lab"),
        ("cdn.lab:8080", "cdn.lab:8080"),
        ("cdn%2Elab", "cdn.lab"),
        ("%43dn.lab", "cdn.lab"),
        ("[2001:DB8:0::1]:80", "[2001:db8::1]"),
        ("[::1]:8443", "[::1]:8443"),
        ("", ""),
    ],
)
def test_an_authority_has_one_form(text: str, canonical: str) -> None:
    assert str(Authority.parse(text)) == canonical
    assert Authority.parse(canonical) == Authority.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "cdn.lab:80:80",
        "cdn.lab:443:80",
        "a b",
        "user@cdn.lab",
        "<script>",
        "cdn.lab:abc",
        "cdn.lab:+80",
        "cdn.lab:0",
        "cdn.lab:65536",
        "cdn.lab:" + "9" * 5000,
        "cdn.lab:\u0661",
        "[::1",
        "::1",
        "[::1]x",
        "[fe80::1%eth0]",
        "[nonsense]",
        "cdn.lab/",
        "cdn.lab?",
        "cdn.lab#",
        "cdn.lab\x00",
        "cdn..lab",
        ".cdn.lab",
        "cdn.lab..",
        "c\xe9n.lab",
        "%zz",
        "cdn%2fx",
        "cdn%00",
        "cdn%3A80",
        "%25",
        "caf%C3%A9.lab",
        ":80",
        "a,b c",
        "a" * 256,
    ],
)
def test_an_invalid_authority_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Authority.parse(text)


@given(st.text(st.characters(max_codepoint=0xFF), max_size=30))
def test_an_authority_is_stable(text: str) -> None:
    try:
        first = Authority.parse(text)
    except ValueError:
        return
    assert Authority.parse(str(first)) == first


@pytest.mark.parametrize(
    ("target", "canonical"),
    [
        (b"/", b"/"),
        (b"/a?", b"/a?"),
        (b"/a", b"/a"),
        (b"/caf%c3%a9", b"/caf%C3%A9"),
        (b"/%7Ex", b"/~x"),
        (b"/%2e/x", b"/x"),
        (b"/a/%2E%2e/x", b"/x"),
        (b"/a/b/..", b"/a/"),
        (b"/a/.", b"/a/"),
        (b"/../..", b"/"),
        (b"/a//../b", b"/a/b"),
        (b"//a", b"//a"),
        (b"/%2fa", b"/%2Fa"),
        (b"/a?x=%7e&y=/../%2f", b"/a?x=~&y=/../%2F"),
        (b"/%", b"/%25"),
        (b"/%%341", b"/%2541"),
        (b"/%zz", b"/%25zz"),
        (b'/"<>|', b"/%22%3C%3E%7C"),
        (b"/.hidden/..x/x..", b"/.hidden/..x/x.."),
    ],
)
def test_a_target_has_one_form(target: bytes, canonical: bytes) -> None:
    assert normalize_target(target) == canonical
    assert normalize_target(canonical) == canonical


@given(
    st.lists(st.sampled_from([b"/", b".", b"%", b"2", b"e", b"E", b"?", b"a", b"%2e", b"%25", b"[", b"\\"]))
)
def test_a_target_is_stable_and_is_asked_for_as_written(pieces: list[bytes]) -> None:
    canonical = normalize_target(b"/" + b"".join(pieces))
    assert normalize_target(canonical) == canonical
    assert httpx.URL("http://origin").copy_with(raw_path=canonical).raw_path == canonical


@pytest.mark.parametrize("target", [b"", b"a", b"*", b"/a b", b"/\x7f", b"/\xe4", b"/a#b", b"/\r\n"])
def test_an_invalid_target_is_refused(target: bytes) -> None:
    with pytest.raises(ValueError):
        normalize_target(target)
    with pytest.raises(ValueError):
        parse_target(target)


def test_a_target_in_absolute_form_carries_its_authority() -> None:
    target = parse_target(b"HTTP://Right.lab:80/a?b")
    assert (str(target.authority), target.path) == ("right.lab", b"/a?b")
    assert parse_target(b"http://cdn.lab").path == b"/"
    assert parse_target(b"https://cdn.lab?q").path == b"/?q"


@pytest.mark.parametrize(
    "target", [b"http:///a", b"http://a@b/", b"ftp://cdn.lab/", b"http:/a", b"http://a b/", b"//:x", b"a://b"]
)
def test_an_invalid_absolute_form_is_refused(target: bytes) -> None:
    try:
        assert parse_target(target).authority is None  # "//:x" is a path
    except ValueError:
        return
    assert target.startswith(b"/")


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        (b"/x", "cdn.lab /x"),
        (b"/x?", "cdn.lab /x?"),
        (b"/x;p=1", "cdn.lab /x;p=1"),
        (b"/a/../%7ex#f", "cdn.lab /~x"),
        (b"x", "cdn.lab /b/x"),
        (b"../x", "cdn.lab /x"),
        (b"?x", "cdn.lab /b/c?x"),
        (b"", "cdn.lab /b/c?q"),
        (b"#f", "cdn.lab /b/c?q"),
        (b"//Other.lab/x", "other.lab /x"),
        (b"https://CDN.lab:443/x", "cdn.lab /x"),
        (b"http://cdn.lab", "cdn.lab /"),
        (b"/caf\xc3\xa9 x", "cdn.lab /caf%C3%A9%20x"),
    ],
)
def test_a_reference_is_resolved_against_its_request(reference: bytes, url: str) -> None:
    authority, target = resolve_reference(Authority("cdn.lab"), b"/b/c?q", reference)
    assert f"{authority} {target.decode()}" == url


@pytest.mark.parametrize("reference", [b"ftp://cdn.lab/", b"mailto:a", b"http:/x", b"//a@b/", b"http://a:b/"])
def test_an_invalid_reference_is_refused(reference: bytes) -> None:
    with pytest.raises(ValueError):
        resolve_reference(Authority("cdn.lab"), b"/", reference)


@given(st.text(max_size=20))
def test_a_url_and_the_request_for_it_agree(path: str) -> None:
    try:
        authority, target = parse_url(f"https://cdn.lab/{path}")
    except ValueError:
        return
    assert str(authority) == "cdn.lab"
    assert normalize_target(parse_target(target).path) == target
