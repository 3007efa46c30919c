"""A generation is applied service by service; what cannot be applied keeps what was in force, with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_services import NoOrigins, prepare_services, publish_service

from edge.services.active_service import ActiveService
from edge.services.catalogue import ServiceCatalogue, index_changes, index_services
from edge.services.host_index import HostIndex
from services.published import PublishedService


def revisions(catalogue: ServiceCatalogue) -> dict[str, int]:
    return {name: service.revision for name, service in catalogue.services.items()}


def broken(name: str, revision: int) -> PublishedService:
    return publish_service(name, revision, cache=[{"path": "no slash"}])


def test_an_unchanged_service_stays_the_same_object() -> None:
    first = prepare_services(publish_service("a"), publish_service("b"))
    second = prepare_services(publish_service("a"), publish_service("b", 2), before=first.catalogue)
    assert second.catalogue.services["a"] is first.catalogue.services["a"]
    assert second.catalogue.services["b"] is not first.catalogue.services["b"]


def test_a_revision_that_cannot_be_applied_keeps_the_one_before() -> None:
    first = prepare_services(publish_service("a"), publish_service("b"))
    second = prepare_services(broken("a", 2), publish_service("b", 2), before=first.catalogue)
    assert revisions(second.catalogue) == {"a": 1, "b": 2}
    (refused,) = second.refused
    assert (refused.name, refused.revision) == ("a", 2)
    assert refused.reason.startswith("cache.0.path: ")
    assert refused.kept == publish_service("a")


def test_a_new_service_that_cannot_be_applied_is_not_served() -> None:
    prepared = prepare_services(broken("a", 1), publish_service("b"))
    assert revisions(prepared.catalogue) == {"b": 1}
    assert prepared.refused[0].kept is None


def test_after_a_start_what_was_kept_before_is_kept() -> None:
    prepared = prepare_services(broken("a", 2), kept={"a": publish_service("a")})
    assert revisions(prepared.catalogue) == {"a": 1}
    prepared = prepare_services(broken("a", 2), kept={"a": broken("a", 1)})
    assert revisions(prepared.catalogue) == {}


def test_a_host_name_of_another_service_is_refused() -> None:
    first = prepare_services(publish_service("a"), publish_service("b"))
    both = publish_service("b", 2, hostnames=["b.example", "a.example"])
    second = prepare_services(publish_service("a"), both, before=first.catalogue)
    assert revisions(second.catalogue) == {"a": 1, "b": 1}
    assert second.refused[0].reason == "hostnames: a.example belongs to the service a"
    assert second.catalogue.select_http("", "b.example").revision == 1


def test_a_name_moves_from_one_service_to_another_in_one_generation() -> None:
    first = prepare_services(publish_service("a", hostnames=["x.example"]), publish_service("b"))
    second = prepare_services(
        publish_service("a", 2), publish_service("b", 2, hostnames=["x.example"]), before=first.catalogue
    )
    assert not second.refused
    assert second.catalogue.select_http("", "x.example").name == "b"


def test_what_is_kept_yields_to_a_service_that_owns_its_name_now() -> None:
    first = prepare_services(publish_service("b", hostnames=["x.example"]))
    moved = publish_service("a", hostnames=["x.example"])
    second = prepare_services(moved, broken("b", 2), before=first.catalogue)
    assert second.catalogue.select_http("", "x.example").name == "a"
    assert revisions(second.catalogue) == {"a": 1}


def test_origins_are_made_when_needed_and_closed_after_the_last_request() -> None:
    (service,) = prepare_services(publish_service("a")).catalogue.services.values()
    closed: list[object] = []
    service.begin_request()
    origins = service.origins
    assert isinstance(origins, NoOrigins)
    assert service.origins is origins
    service.retire(closed.append)
    assert not closed
    service.end_request()
    assert closed == [origins]


HOSTS = ["a.example", "b.example", "*.example", "c.example"]
HOSTNAMES = st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True)
GENERATIONS = st.lists(st.dictionaries(st.sampled_from("xyz"), HOSTNAMES), min_size=2, max_size=6)


@given(GENERATIONS)
def test_an_index_made_from_the_one_before_is_that_made_whole(
    generations: list[dict[str, list[str]]],
) -> None:
    catalogue = ServiceCatalogue.empty()
    newest: dict[str, int] = {}
    published: dict[str, PublishedService] = {}
    for number, wanted in enumerate(generations, 1):
        for name, hostnames in wanted.items():
            kept = published.get(name)
            if kept is None or kept.document["hostnames"] != hostnames:
                newest[name] = newest.get(name, 0) + 1
                published[name] = publish_service(name, newest[name], hostnames=hostnames)
        services = [published[name] for name in wanted]
        before = catalogue
        catalogue = prepare_services(*services, number=number, before=before).catalogue
        whole, conflicts = index_services(catalogue.services[name] for name in sorted(catalogue.services))
        assert not conflicts
        assert all(catalogue.hosts.find_owner(host) is whole.find_owner(host) for host in HOSTS)
        changes = index_changes(before, catalogue.services)
        assert changes is not None
        assert len(changes) == len(whole)
        assert all(changes.find_pattern(host) is whole.find_pattern(host) for host in HOSTS)


def test_a_generation_that_changes_one_service_indexes_only_its_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = [publish_service(f"service{number}") for number in range(100)]
    first = prepare_services(*many)
    added: list[str] = []
    add_pattern = HostIndex.add_pattern

    def count(index: HostIndex[ActiveService], pattern: str, owner: ActiveService) -> None:
        added.append(pattern)
        add_pattern(index, pattern, owner)

    monkeypatch.setattr(HostIndex, "add_pattern", count)
    many[7] = publish_service("service7", 2, hostnames=["new.example"])
    second = prepare_services(*many, before=first.catalogue)
    assert added == ["new.example"]
    assert second.catalogue.find_service("service7.example") is None
    assert second.catalogue.select_http("", "new.example").revision == 2
    assert first.catalogue.select_http("", "service7.example").revision == 1
