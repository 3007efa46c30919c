"""A program's HTTP/1.1 connection to the proxy, by h11: requests in, responses out, every wait bounded."""

import asyncio
from collections.abc import AsyncIterator

import h11

BLOCK = 64 << 10
HEAD_LIMIT = 64 << 10  # bytes of one request's head
IDLE_TIMEOUT = 60.0  # seconds for the next request, and for each part of one
WRITE_TIMEOUT = 60.0  # seconds without the program reading

DISCARD_LIMIT = 1 << 20  # bytes of an unwanted body that are read, so that the program sees our answer

Headers = list[tuple[bytes, bytes]]


class ProgramDisconnected(Exception):
    """The program disconnected, or a wait timed out."""


class ProgramConnection:
    """One connection. Raises `h11.RemoteProtocolError` for invalid HTTP, `ProgramDisconnected` at the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._http.receive_data(first)
        self.answering = False
        self.asked_for_tunnel = False

    async def request(self) -> h11.Request | None:
        """The next request; None when the program is done."""
        self.answering = False
        event = await self._next()
        self.asked_for_tunnel = isinstance(event, h11.Request) and event.method == b"CONNECT"
        return event if isinstance(event, h11.Request) else None

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body, asked for when it is read (100-continue)."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    async def start(self, status: int, headers: Headers, reason: bytes = b"") -> None:
        self.answering = True
        await self._send(h11.Response(status_code=status, headers=headers, reason=reason))

    async def write(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def end(self) -> bool:
        """End the response; whether another request may follow."""
        await self._send(h11.EndOfMessage())
        await self._discard_body()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def send_text(self, status: int, text: str, headers: Headers) -> bool:
        """A whole response of plain text; whether another request may follow."""
        body = text.encode()
        length = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await self.start(status, [*headers, *length])
        await self.write(body)
        return await self.end()

    async def accept_connect(self) -> bytes:
        """Accept a CONNECT; return what the program sent after it."""
        await self.start(200, [], b"Connection established")
        return bytes(self._http.trailing_data[0])

    async def _discard_body(self) -> None:
        left = DISCARD_LIMIT
        while self._http.their_state is h11.SEND_BODY and left > 0:
            if self._http.they_are_waiting_for_100_continue:
                return
            event = await self._next()
            left -= len(event.data) if isinstance(event, h11.Data) else 0

    async def _next(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                async with asyncio.timeout(IDLE_TIMEOUT):
                    self._http.receive_data(await self._reader.read(BLOCK))
        except (OSError, TimeoutError) as error:
            raise ProgramDisconnected(str(error)) from None
        return event

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if not data:
            return
        try:
            self._writer.write(data)
            async with asyncio.timeout(WRITE_TIMEOUT):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            raise ProgramDisconnected(str(error)) from None
