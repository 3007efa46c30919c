"""The lab's services are documents that an edge accepts, with origins of the kinds that the topology names."""

from pathlib import Path

from edge.origins.tls import check_origins
from lab.secrets import make_certificates
from lab.services import origin_tls_files, publish_services, service_document
from lab.topology import LAB, SERVICE_NAME, SHOP_NAME
from services.document import HttpService, parse_document


def test_two_services_have_two_origins_each(tmp_path: Path) -> None:
    make_certificates(tmp_path, origin=(LAB.backbone_address("origin"),))
    authority = (tmp_path / "ca.pem").read_text()
    documents = [parse_document(service_document(LAB, service, authority)) for service in LAB.services]
    for document in documents:
        assert isinstance(document, HttpService)
        assert len(document.origins) == 2
        check_origins(document.origins, {})
    kinds = [(one.tls, one.faults) for service in LAB.services for one in service.origins]
    assert (True, False) in kinds
    assert (False, True) in kinds
    assert all(file.exists() for file in origin_tls_files(tmp_path))


def test_each_host_name_belongs_to_one_service_and_is_resolved() -> None:
    names = [name for service in LAB.services for name in service.hostnames]
    assert len(set(names)) == len(names)
    assert SERVICE_NAME in names
    assert SHOP_NAME.endswith(f".{SERVICE_NAME}")  # what the resolvers know


def test_publishing_twice_adds_a_revision(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authority")
    said: list[str] = []
    for _ in range(2):
        publish_services(LAB, tmp_path, lambda *words: said.append(" ".join(words[:3])))
    assert said.count("services create site") == said.count("services create shop") == 1
    assert said.count("services edit shop") == 2
