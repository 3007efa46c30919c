"""What an origin sends behind an answer is neither given to the client of another URL nor stored there."""

import asyncio
from pathlib import Path

import pytest
from scripted_server import LEFT_OVER, Asked, ScriptedServer, answer
from served_cache import served


@pytest.mark.parametrize(("method", "parts"), LEFT_OVER.values(), ids=LEFT_OVER)
async def test_the_next_url_s_answer_is_its_own(tmp_path: Path, method: str, parts: list[bytes]) -> None:
    def script(asked: Asked) -> list[bytes]:
        if asked.target == "/first":
            return parts
        return [answer(f"this is {asked.target}", "cache-control: max-age=600")]

    origin = ScriptedServer(script)
    async with served(tmp_path, origin) as (it,):
        for n in range(5):
            await it.client.request(method, "/first")
            for _ in range(2):
                assert (await it.get(f"/{n}")).text == f"this is /{n}"
    assert origin.connections > 1


async def test_many_clients_at_once_are_each_given_their_own(tmp_path: Path) -> None:
    def script(asked: Asked) -> list[bytes]:
        kinds = list(LEFT_OVER.values())
        if asked.target.startswith("/first"):
            return kinds[int(asked.target[6:]) % len(kinds)][1]
        return [answer(f"this is {asked.target}", "cache-control: max-age=600")]

    async with served(tmp_path, ScriptedServer(script)) as (it,):
        for turn in range(5):

            async def ask(n: int, turn: int = turn) -> None:
                kinds = list(LEFT_OVER.values())
                await it.client.request(kinds[n % len(kinds)][0], f"/first{n}")
                assert (await it.get(f"/{turn}/{n}")).text == f"this is /{turn}/{n}"

            await asyncio.gather(*(ask(n) for n in range(3 * len(LEFT_OVER))))
