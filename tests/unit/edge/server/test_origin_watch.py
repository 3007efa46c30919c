"""The edge's health says when the origin does not answer, after more than one try."""

import httpx

from edge.server.origin_watch import OriginWatch


async def test_an_origin_that_does_not_answer_is_a_reason_until_it_does() -> None:
    well = False

    def answer(request: httpx.Request) -> httpx.Response:
        if not well:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(404)

    watch = OriginWatch("http://origin", httpx.MockTransport(answer))
    await watch.look()
    assert watch.reasons == [], "once is bad luck"
    await watch.look()
    assert watch.reasons == ["origin: no answer (ConnectError)"]
    well = True
    await watch.look()
    assert watch.reasons == [], "a 404 is an answer"
