"""The cache of a real edge before a real origin, asked over HTTPS what RFC 9111 and its companions want.

Every case has a URL of its own; `docs/conformance.md` has them in a table, written by `python tests/conformance`.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import time

import pytest
import pytest_asyncio
from cache_cases.case import At, Case, Outcome, Step
from cache_cases.client import Answer, PlainClient
from cache_cases.origin import NUMBER, Asked, CaseOrigin, CaseState, case_origin
from cache_cases.suite import SUITE
from certificates import identity
from edge_process import edge_process
from free_ports import free_port

PATIENCE = 20  # seconds
OF_THE_EDGE = frozenset({400, 501, 502, 504})  # statuses of answers that the edge makes itself
CHANGES_THE_ANSWER = frozenset(
    {"cache-control", "pragma", "range", "if-none-match", "if-modified-since", "if-range"}
)
POLL_SECONDS = 0.002
_numbers = itertools.count()


@dataclass
class CacheUnderTest:
    """A running edge with a cache of its own, its origin, and a client."""

    origin: CaseOrigin
    client: PlainClient
    index: sqlite3.Connection

    async def renewed(self, path: str, since: float, removed: bool) -> None:
        """Wait until the index has a response received after `since`; with `removed`, or none."""
        latest = "SELECT max(received_at) FROM entry WHERE key LIKE ?"
        async with asyncio.timeout(PATIENCE):
            while True:
                (received,) = self.index.execute(latest, (f"%{path}%",)).fetchone()
                if (removed and received is None) or (received is not None and received >= since):
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def found(self, target: str, lines: list[tuple[str, str]], number: str) -> None:
        """Wait until the store gives the answer `number`, or nothing to whom takes any age."""
        asked = [line for line in lines if line[0] not in CHANGES_THE_ANSWER]
        asked.append(("cache-control", "only-if-cached, max-stale"))
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self.client.ask("HEAD", target, asked)
                if answer.status == 504 or answer.fields[NUMBER] == number:
                    return
                await asyncio.sleep(POLL_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cache(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CacheUnderTest]:
    folder = tmp_path_factory.mktemp("conformance")
    certificate, key = identity(folder, "cdn.example", "cdn.example")
    port = free_port()
    options = ("--https-port", str(port), "--tls-certificate", str(certificate), "--tls-key", str(key))
    async with case_origin() as (origin, url), edge_process(folder, "--upstream", url, *options):
        client = PlainClient(port)
        index = sqlite3.connect(folder / "cache" / "index.sqlite", isolation_level=None)
        yield CacheUnderTest(origin, client, index)
        index.close()
        client.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", SUITE, ids=str)
async def test_the_cache_conforms(case: Case, cache: CacheUnderTest) -> None:
    name = f"case-{next(_numbers)}"
    state = CaseState(f"/{name}", time())
    cache.origin.cases[name] = state
    for number, step in enumerate(case.steps):
        before, since = len(state.asked), time()
        if step.reply is not None:
            state.reply = step.reply
        lines = [(field, state.text_of(value)) for field, value in step.asks]
        answer = await cache.client.ask(step.method, f"/{name}{step.path}", lines)
        outcome = await _outcome(step, answer, state, before)
        shown = f"step {number}: {answer.status} {answer.fields}, the origin was asked {state.asked[before:]}"
        assert outcome == step.outcome, shown
        assert answer.status == (state.reply.status if step.status is None else step.status), shown
        assert step.body is None or answer.body.decode() == step.body, shown
        _compare(state, step.has, answer.fields, shown)
        if step.sends:
            _compare(state, step.sends, state.asked[-1].fields, shown)
        # clients have a response a moment before it is stored
        if outcome in (Outcome.VALIDATED, Outcome.REFRESHED):
            await cache.renewed(state.path, since, removed=True)
        elif answer.fields.get("cache-status", "").endswith("; stored"):
            await cache.renewed(state.path, since, removed=False)
            if NUMBER in answer.fields:
                await cache.found(f"/{name}{step.path}", lines, answer.fields[NUMBER])


def _compare(state: CaseState, wanted: dict[str, object], fields: dict[str, str], shown: str) -> None:
    for name, value in wanted.items():
        found = fields.get(name.replace("_", "-"))
        if value is ...:
            assert found is not None, f"{name} is missing; {shown}"
        else:
            expected = state.text_of(value) if isinstance(value, str | At) else value
            assert found == expected, f"{name} is {found!r}; {shown}"


async def _outcome(step: Step, answer: Answer, state: CaseState, before: int) -> Outcome:
    """Judge by what the origin was asked, and by which of its answers the client was given."""
    if step.outcome is Outcome.REFRESHED:
        reused = _given(answer) < before and len(state.asked) <= before + 1
        async with asyncio.timeout(PATIENCE):
            while len(state.asked) == before:
                state.changed.clear()
                await state.changed.wait()
        return Outcome.REFRESHED if reused else Outcome.FORWARDED
    if NUMBER not in answer.fields and answer.status in OF_THE_EDGE:
        return Outcome.REFUSED
    return Outcome.REUSED if len(state.asked) == before else _outcome_of_asking(answer, state.asked[-1])


def _outcome_of_asking(answer: Answer, last: Asked) -> Outcome:
    if last.answered == 304:
        return Outcome.VALIDATED
    if _given(answer) in (-1, last.number):
        return Outcome.FORWARDED
    return Outcome.STALE


def _given(answer: Answer) -> int:
    """The number of the origin's answer that it is made of; -1 where it does not show."""
    return int(answer.fields.get(NUMBER, "-1"))
