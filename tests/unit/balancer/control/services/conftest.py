"""Services as operators write them."""

from typing import Any

import pytest

DOCUMENT: dict[str, Any] = {
    "hostnames": ["www.example.org"],
    "origins": [{"name": "eu", "url": "http://192.0.2.1"}],
}


@pytest.fixture
def document() -> Any:
    """Make a document, with other values where they are given."""
    return lambda **changes: {**DOCUMENT, **changes}


@pytest.fixture
def add_service(api: Any, document: Any) -> Any:
    """Create a service with a draft; returns the draft's number."""

    async def add(name: str = "shop", **changes: Any) -> int:
        assert (await api.ask("POST", "/v1/services", {"name": name})).status_code in (200, 201)
        answer = await api.ask("POST", f"/v1/services/{name}/revisions", document(**changes))
        assert answer.status_code == 201, answer.text
        return int(answer.json()["number"])

    return add


@pytest.fixture
def activate(api: Any) -> Any:
    """Activate a revision."""

    async def put(name: str, revision: int, **more: Any) -> Any:
        body = {"revision": revision, **more}
        return await api.ask("POST", f"/v1/services/{name}/activate", body)

    return put
