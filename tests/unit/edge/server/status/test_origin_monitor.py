"""The edge's health says when the origin does not answer, after more than one try."""

import httpx

from edge.server.status.origin_monitor import OriginMonitor


async def test_an_origin_that_does_not_answer_is_a_reason_until_it_does() -> None:
    well = False

    def answer(request: httpx.Request) -> httpx.Response:
        if not well:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(404)

    watch = OriginMonitor("http://origin", httpx.MockTransport(answer))
    await watch.probe_origin()
    assert watch.reasons == [], "once is bad luck"
    await watch.probe_origin()
    assert watch.reasons == ["origin: no answer (ConnectError)"]
    well = True
    await watch.probe_origin()
    assert watch.reasons == [], "a 404 is an answer"
