"""Revisions: validated whole, numbered, never changed; one is in force."""

from typing import Any

import pytest


async def revisions(api: Any, name: str = "shop") -> list[tuple[int, str]]:
    answer = (await api.ask("GET", f"/v1/services/{name}/revisions")).json()
    return [(each["number"], each["state"]) for each in answer["items"]]


def fields(answer: Any) -> list[str]:
    return [each["field"] for each in answer.json()["errors"]]


async def test_a_draft_is_activated_and_superseded_and_comes_back(
    api: Any, add_service: Any, activate: Any
) -> None:
    first = await add_service()
    assert await revisions(api) == [(1, "draft")]
    shown = (await activate("shop", first)).json()
    assert (shown["active"], shown["kind"], shown["hostnames"]) == (1, "http", ["www.example.org"])
    second = await add_service(hostnames=["shop.example.org"])
    assert (await activate("shop", second)).json()["hostnames"] == ["shop.example.org"]
    assert await revisions(api) == [(2, "active"), (1, "superseded")]
    back = await api.ask("POST", "/v1/services/shop/rollback", {})
    assert (back.json()["active"], back.json()["hostnames"]) == (1, ["www.example.org"])
    assert await revisions(api) == [(2, "superseded"), (1, "active")]


async def test_the_same_document_again_adds_no_revision(api: Any, add_service: Any, document: Any) -> None:
    await add_service()
    again = await api.ask("POST", "/v1/services/shop/revisions", document(hostnames=["WWW.Example.org"]))
    assert (again.status_code, again.json()["number"]) == (200, 1)


async def test_a_wrong_document_is_refused_with_every_field_and_nothing_is_stored(
    api: Any, add_service: Any, document: Any
) -> None:
    await add_service()
    wrong = document(
        hostnames=["a..b"], origins=[{"name": "eu", "url": "ftp://x", "weight": 0}], shape="round"
    )
    for path in ("revisions", "validate"):
        answer = await api.ask("POST", f"/v1/services/shop/{path}", wrong)
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:sennit:problem:invalid-document"
        assert sorted(fields(answer)) == ["hostnames.0", "origins.0.url", "origins.0.weight", "shape"]
    assert await revisions(api) == [(1, "draft")]


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}', b'{"a": "\\u0000"}', b"[" * 100_000, b"\xff"]
)
async def test_what_is_not_json_is_refused(api: Any, add_service: Any, text: bytes) -> None:
    await add_service()
    headers = {"Authorization": "Bearer the-admin-token-of-this-test"}
    answer = await api.http.post("/v1/services/shop/revisions", content=text, headers=headers)
    assert (answer.status_code, fields(answer)) == (422, ["body"])


async def test_a_large_document_is_not_read_before_the_token_is_known(api: Any, add_service: Any) -> None:
    await add_service()
    large = b" " * 200_000

    async def body() -> Any:
        raise AssertionError("read")
        yield b""

    answer = await api.http.post(
        "/v1/services/shop/revisions", content=body(), headers={"Content-Length": str(len(large))}
    )
    assert answer.status_code == 401


async def test_a_document_that_contradicts_others_cannot_be_activated(
    api: Any, add_service: Any, activate: Any, document: Any
) -> None:
    await activate("shop", await add_service())
    other = {
        "hostnames": ["b.example", "www.example.org"],
        "origins": [
            {"name": "a", "url": "https://192.0.2.1", "tls": {"client_certificate": "x", "client_key": "k"}}
        ],
        "shield": {"site": "nowhere"},
        "access": {"signed_urls": {"issuers": ["i"], "keys": ["j"]}},
    }
    number = await add_service("blog", **other)
    expected = ["access.signed_urls.keys.0", "hostnames.1", "origins.0.tls.client_key", "shield.site"]
    answers = [
        await api.ask("POST", "/v1/services/blog/validate", document(**other)),
        await activate("blog", number),
    ]
    for answer in answers:
        assert answer.status_code == 409
        assert sorted(fields(answer)) == expected
    assert (await api.ask("GET", "/v1/services/blog")).json()["active"] is None


async def test_validation_says_what_would_change(
    api: Any, add_service: Any, activate: Any, document: Any
) -> None:
    await activate("shop", await add_service())
    wanted = document(origins=[{"name": "eu", "url": "http://192.0.2.9"}])
    changes = (await api.ask("POST", "/v1/services/shop/validate", wanted)).json()["changes"]
    change = {"field": "origins[eu].url", "before": "http://192.0.2.1", "after": "http://192.0.2.9"}
    assert changes == [change]
    await add_service(**wanted)
    diff = (await api.ask("GET", "/v1/services/shop/diff")).json()
    assert diff == {"before": 1, "after": 2, "changes": [change]}
    turned = (await api.ask("GET", "/v1/services/shop/diff?before=2&after=1")).json()
    assert turned["changes"][0]["after"] == "http://192.0.2.1"


async def test_a_hostname_moves_between_services_once_it_is_free(
    api: Any, add_service: Any, activate: Any
) -> None:
    await activate("shop", await add_service())
    blog = await add_service("blog")
    assert (await activate("blog", blog)).status_code == 409
    await activate("shop", await add_service(hostnames=["shop.example"]))
    assert (await activate("blog", blog)).status_code == 200
    back = await api.ask("POST", "/v1/services/shop/rollback", {})
    assert (back.status_code, fields(back)) == (409, ["hostnames.0"])


async def test_only_drafts_are_activated_and_only_what_was_active_comes_back(
    api: Any, add_service: Any, activate: Any
) -> None:
    assert (await api.ask("POST", "/v1/services", {"name": "shop"})).status_code == 201
    assert (await api.ask("POST", "/v1/services/shop/rollback", {})).status_code == 409
    await activate("shop", await add_service())
    draft = await add_service(hostnames=["b.example"])
    body = {"revision": draft}
    assert (await api.ask("POST", "/v1/services/shop/rollback", body)).status_code == 409
    await activate("shop", draft)
    assert (await activate("shop", 1)).status_code == 409
    assert (await activate("shop", draft)).status_code == 200
    assert (await activate("shop", 9)).status_code == 404


async def test_a_change_of_what_has_changed_meanwhile_is_refused(
    api: Any, add_service: Any, document: Any
) -> None:
    await add_service()
    etag = (await api.ask("GET", "/v1/services/shop")).headers["etag"]
    path, wanted = "/v1/services/shop/revisions", document(hostnames=["b.example"])
    assert (await api.ask("POST", path, wanted, headers={"If-Match": etag})).status_code == 201
    assert (await api.ask("POST", path, document(), headers={"If-Match": etag})).status_code == 412
    stale = await api.ask("DELETE", "/v1/services/shop", headers={"If-Match": etag})
    assert stale.status_code == 412


async def test_a_deleted_service_frees_its_hostnames(api: Any, add_service: Any, activate: Any) -> None:
    await activate("shop", await add_service())
    assert (await api.ask("DELETE", "/v1/services/shop")).status_code == 204
    assert (await api.ask("GET", "/v1/services/shop")).status_code == 404
    assert (await activate("blog", await add_service("blog"))).status_code == 200


async def test_services_come_in_pages(api: Any, add_service: Any) -> None:
    for name in ("c", "a", "b"):
        await add_service(name)
    first = (await api.ask("GET", "/v1/services?limit=2")).json()
    assert ([each["name"] for each in first["items"]], first["next"]) == (["a", "b"], "b")
    second = (await api.ask("GET", "/v1/services?limit=2&after=b")).json()
    assert ([each["name"] for each in second["items"]], second["next"]) == (["c"], None)


async def test_old_revisions_are_dropped_but_none_that_is_in_force(
    api: Any, add_service: Any, activate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balancer.control.services.revisions.REVISIONS_KEPT", 2)
    await activate("shop", await add_service())
    for number in range(4):
        await add_service(hostnames=[f"{number}.example"])
    assert await revisions(api) == [(5, "draft"), (4, "draft"), (1, "active")]


async def test_who_may_do_what_follows_from_the_role(api: Any, add_service: Any, document: Any) -> None:
    await add_service()
    made = await api.ask("POST", "/v1/tokens", {"name": "reader", "role": "read"})
    reader = made.json()["token"]
    await api.enrol(1)
    tries = [
        ("POST", "/v1/services", {"name": "other"}),
        ("DELETE", "/v1/services/shop", None),
        ("POST", "/v1/services/shop/revisions", document()),
        ("POST", "/v1/services/shop/activate", {"revision": 1}),
        ("POST", "/v1/services/shop/rollback", {}),
        ("PUT", "/v1/services/shop/secrets/k", {"value": "v"}),
    ]
    for method, path, body in tries:
        for token in (reader, "credential-1"):
            assert (await api.ask(method, path, body, token)).status_code == 403, path
    assert (await api.ask("GET", "/v1/services/shop", token=reader)).status_code == 200
    assert (await api.ask("GET", "/v1/services/shop", token="credential-1")).status_code == 403


async def test_the_audit_log_says_who_activated_what_and_why(
    api: Any, add_service: Any, activate: Any
) -> None:
    await activate("shop", await add_service(), reason="opening")
    newest = (await api.ask("GET", "/v1/audit?limit=1")).json()["items"][0]
    assert (newest["what"], newest["target"], newest["why"]) == ("service.activate", "shop", "opening")
    assert newest["detail"] == "revision none -> 1"


@pytest.mark.parametrize("name", ["none", "default"])
async def test_no_service_has_a_name_that_figures_use_for_what_belongs_to_none(api: Any, name: str) -> None:
    answer = await api.ask("POST", "/v1/services", {"name": name})
    assert answer.status_code == 422
    [fault] = answer.json()["errors"]
    assert (fault["field"], "is reserved" in fault["message"]) == ("name", True)
