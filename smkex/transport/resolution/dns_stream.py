"""DNS messages on a TCP or TLS connection, each behind its length; answers may come in any order (RFC 7766)."""

import asyncio
import struct

import dns.message

from smkex.transport.resolution.queries import InvalidAnswer, parse_answer

UNANSWERED_LIMIT = 64  # questions of one connection, with those whose callers wait no longer
_LENGTH = struct.Struct("!H")


class DnsStream:
    """The caller bounds each `ask` in time. A message that answers no question ends the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._asked: dict[int, tuple[dns.message.Message, asyncio.Future[dns.message.Message]]] = {}
        self._receiving: asyncio.Task[None] | None = None

    async def ask(self, query: dns.message.Message) -> dns.message.Message:
        """Raises OSError."""
        if len(self._asked) >= UNANSWERED_LIMIT:
            raise ConnectionAbortedError(f"{UNANSWERED_LIMIT} questions have no answer")
        while query.id in self._asked:
            query.id = (query.id + 1) % (1 << 16)
        answer: asyncio.Future[dns.message.Message] = asyncio.get_running_loop().create_future()
        self._asked[query.id] = (query, answer)
        if self._receiving is None or self._receiving.done():
            self._receiving = asyncio.create_task(self._receive_answers())
        data = query.to_wire()
        self._writer.write(_LENGTH.pack(len(data)) + data)
        return await answer

    def close(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
        self._writer.transport.abort()

    async def _receive_answers(self) -> None:
        """Until no question waits; an error is that of every question that waits."""
        try:
            while self._asked:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                data = await self._reader.readexactly(length)
                number = int.from_bytes(data[:2], "big")
                if number not in self._asked:
                    raise InvalidAnswer("a message that answers no question")
                query, waiting = self._asked[number]
                answer = parse_answer(query, data)
                del self._asked[number]
                if not waiting.done():  # its caller may wait no longer
                    waiting.set_result(answer)
        except asyncio.IncompleteReadError:
            self._fail_all(ConnectionResetError("the resolver closed the connection"))
        except OSError as error:
            self._fail_all(error)

    def _fail_all(self, error: OSError) -> None:
        for _, waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(error)
