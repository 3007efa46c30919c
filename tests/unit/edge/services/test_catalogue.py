"""The service of a request depends on its names only, and a look-up does not search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_services import prepare_services, publish_service

from edge.services.active_service import ActiveService
from edge.services.catalogue import Misdirected, ServiceCatalogue
from edge.services.host_index import HostIndex
from services.published import PublishedService

LABELS = st.sampled_from(["a", "b", "www", "static", "example"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.one_of(
    NAMES, st.lists(LABELS, min_size=2, max_size=3).map(lambda parts: "*." + ".".join(parts))
)


def matches(pattern: str, name: str) -> bool:
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def specificity(pattern: str) -> tuple[bool, int]:
    return not pattern.startswith("*."), pattern.count(".")


@given(st.dictionaries(PATTERNS, st.integers(), max_size=12), NAMES)
def test_the_most_specific_pattern_owns_a_name(owners: dict[str, int], name: str) -> None:
    index: HostIndex[int] = HostIndex()
    for pattern, owner in owners.items():
        index.add_pattern(pattern, owner)
    found = [pattern for pattern in owners if matches(pattern, name)]
    expected = owners[max(found, key=specificity)] if found else None
    assert index.find_owner(name) == expected
    assert len(index) == len(owners)


def three() -> ServiceCatalogue:
    prepared = prepare_services(
        publish_service("shop", hostnames=["shop.example", "*.shop.example"]),
        publish_service("blog", hostnames=["blog.example", "*.example.org", "2001:db8::1"]),
        PublishedService.of(
            "ssh",
            1,
            {"kind": "tcp", "hostnames": ["ssh.example"], "targets": [{"host": "10.0.0.1", "port": 22}]},
            {},
        ),
    )
    assert not prepared.refused
    return prepared.catalogue


@pytest.mark.parametrize(
    ("server_name", "host", "service"),
    [
        ("", "shop.example", "shop"),
        ("shop.example", "shop.example", "shop"),
        ("a.b.shop.example", "shop.example", "shop"),
        ("blog.example", "2001:db8::1", "blog"),
        ("", "www.example.org", "blog"),
        ("", "example.org", None),
        ("", "", None),
        ("", "unknown.example", None),
        ("shop.example", "blog.example", None),
        ("unknown.example", "blog.example", None),
        ("not a name", "blog.example", None),
        ("ssh.example", "ssh.example", None),
        ("", "ssh.example", None),
    ],
)
def test_server_name_and_host_belong_to_one_service(server_name: str, host: str, service: str | None) -> None:
    catalogue = three()
    if service is None:
        with pytest.raises(Misdirected):
            catalogue.select_http(server_name, host)
    else:
        assert catalogue.select_http(server_name, host).name == service


@given(st.permutations(["shop", "blog", "wiki"]), NAMES, NAMES)
def test_the_order_of_publication_does_not_count(names: list[str], server_name: str, host: str) -> None:
    patterns = {"shop": ["a.b", "*.www.example"], "blog": ["*.a.b", "b"], "wiki": ["*.b.a", "www"]}

    def selected(order: list[str]) -> str | None:
        services = (publish_service(name, hostnames=patterns[name]) for name in order)
        try:
            return prepare_services(*services).catalogue.select_http(server_name, host).name
        except Misdirected:
            return None

    assert selected(names) == selected(sorted(names))


def test_every_name_belongs_to_the_default_service() -> None:
    service = ActiveService("", 0, None, {}, lambda _: pytest.fail("no origins are needed"))
    catalogue = ServiceCatalogue.single(service)
    assert catalogue.select_http("a.example", "b.example") is service
    assert catalogue.purged_key("http://b.example/a") == "b.example /a"


def test_a_purge_has_the_key_of_the_service() -> None:
    catalogue = three()
    assert catalogue.purged_key("smkex://SHOP.example:443/a?b") == "shop|shop.example /a?b"
    assert catalogue.purged_key("http://unknown.example/a") == "unknown.example /a"
