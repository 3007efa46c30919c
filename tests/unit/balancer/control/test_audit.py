"""The audit log: every change has its who, what and why, and what was refused is not there."""

from typing import Any


async def entries(api: Any, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.ask("GET", "/v1/audit", params=query)).json()["items"]
    return found


async def test_a_change_is_recorded_with_who_what_and_why(api: Any) -> None:
    await api.enrol(1)
    token = (await api.ask("POST", "/v1/tokens", {"name": "alice", "role": "operate"})).json()["token"]
    body = {"admin_state": "draining", "reason": "new kernel"}
    await api.ask("PATCH", "/v1/edges/1", body, token=token)
    newest = (await entries(api))[0]
    assert (newest["who"], newest["role"], newest["why"]) == ("alice", "operate", "new kernel")
    assert (newest["what"], newest["target"]) == ("edge.admin-state", "edge1")
    assert newest["detail"] == "active -> draining"


async def test_a_reason_may_come_in_a_header_in_any_language(api: Any) -> None:
    await api.enrol(1)
    await api.ask("DELETE", "/v1/edges/1", headers={"Sennit-Reason": "zurück an den Händler".encode()})
    newest = (await entries(api))[0]
    assert (newest["what"], newest["why"]) == ("edge.remove", "zurück an den Händler")


async def test_what_was_refused_or_changed_nothing_is_not_recorded(api: Any) -> None:
    await api.enrol(1)
    before = await entries(api)
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "active"})
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "gone"})
    await api.ask("PATCH", "/v1/edges/1", {"admin_state": "draining"}, headers={"If-Match": '"0"'})
    await api.ask("DELETE", "/v1/edges/9")
    assert await entries(api) == before


async def test_pages_lead_from_the_newest_entry_to_the_oldest(api: Any) -> None:
    for number in range(5):
        await api.ask("POST", "/v1/sites", {"name": f"site{number}"})
    whole, seen, after = await entries(api), [], 0
    while after is not None:
        page = (await api.ask("GET", "/v1/audit", params={"limit": 2, "after": after})).json()
        seen, after = seen + page["items"], page["next"]
    assert seen == whole
    assert [each["id"] for each in seen] == sorted((each["id"] for each in seen), reverse=True)


async def test_enrolment_is_recorded_with_the_token_that_allowed_it(api: Any) -> None:
    await api.enrol(1, await api.token(note="rack 4"))
    newest = (await entries(api))[0]
    assert (newest["what"], newest["target"], newest["why"]) == ("edge.enrol", "edge1", "rack 4")
    assert newest["who"].startswith("enrolment token ")
