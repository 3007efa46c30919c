"""Each request has an id and a trace: the origin and the client get them, and a client cannot choose them."""

import asyncio
from pathlib import Path

import httpx
from scripted_server import Asked, ScriptedServer, answer
from served_cache import served

HEX = set("0123456789abcdef")
CACHED = "cache-control: max-age=600"


def identity(asked: Asked) -> tuple[str, str]:
    return asked.fields["x-request-id"], asked.fields["traceparent"].split("-")[1]


async def test_origin_and_client_get_the_same_id_which_is_the_trace_where_the_client_has_none(
    tmp_path: Path,
) -> None:
    origin = ScriptedServer(lambda asked: [answer("body")])
    async with served(tmp_path, origin) as [one]:
        first, second = await one.get(), await one.get()
    ids = [response.headers["x-request-id"] for response in (first, second)]
    assert [identity(asked) for asked in origin.asked] == [(each, each) for each in ids]
    assert ids[0] != ids[1]
    assert all(len(each) == 32 and set(each) <= HEX for each in ids)


async def test_what_a_client_claims_about_itself_does_not_reach_the_origin(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body")])
    claims = {
        "x-request-id": "mine",
        "x_request_id": "mine",
        "sennit-session": "mode=mtls",
        "x-forwarded-for": "198.51.100.9",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "other",
        "forwarded": "for=198.51.100.9",
    }
    async with served(tmp_path, origin) as [one]:
        response = await one.client.post("/form", headers=claims, content=b"body")
    fields = origin.asked[0].fields
    assert fields["x-request-id"] == response.headers["x-request-id"] != "mine"
    assert "x_request_id" not in fields
    assert fields["sennit-session"] == "mode=clear, transport=tcp, owner=1"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == "cdn"
    assert fields["forwarded"] == 'for=127.0.0.1;host="cdn";proto=https'


async def test_a_clients_trace_goes_on_at_the_origin(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body")])
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with served(tmp_path, origin) as [one]:
        await one.get(traceparent=f"00-{trace}-{parent}-01", tracestate="vendor=1")
    fields = origin.asked[0].fields
    version, got, span, flags = fields["traceparent"].split("-")
    assert (version, got, flags, fields["tracestate"]) == ("00", trace, "01", "vendor=1")
    assert span != parent


async def test_a_stored_response_has_the_id_of_each_request_and_not_the_one_that_its_origin_wrote(
    tmp_path: Path,
) -> None:
    origin = ScriptedServer(lambda asked: [answer("body", CACHED, "x-request-id: of-the-origin")])
    responses: list[httpx.Response] = []
    async with served(tmp_path, origin) as [one]:
        async with asyncio.timeout(10):
            while one.proxy.fast_path.hits < 2:  # once it is stored, and in memory
                responses.append(await one.get())
        conditional = await one.get(if_modified_since="Fri, 15 Jan 2100 08:00:00 GMT")
        responses.append(conditional)
    ids = [response.headers.get_list("x-request-id") for response in responses]
    assert all(len(each) == 1 and len(each[0]) == 32 for each in ids)
    assert len({each[0] for each in ids}) == len(ids)
    assert len(origin.asked) == 1


async def test_a_header_of_the_proxy_protocol_from_a_client_is_no_request(tmp_path: Path) -> None:
    origin = ScriptedServer(lambda asked: [answer("body")])
    header = bytes.fromhex("0d0a0d0a000d0a515549540a") + b"\x21\x11\x00\x0c" + bytes(12)
    async with served(tmp_path, origin) as [one]:
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(header + b"GET / HTTP/1.1\r\nHost: cdn\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(-1), 10)).startswith(b"HTTP/1.1 400 ")
        writer.close()
    assert not origin.asked
