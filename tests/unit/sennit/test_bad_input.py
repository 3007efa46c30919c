"""Bad input to `sennit get` is wrong usage, found before anything is opened."""

import argparse

import pytest

from runtime.errors import CommandError, ExitStatus
from sennit.commands.client.get import build_parser
from sennit.outputs import plan_jobs


def _plan(*arguments: str) -> None:
    options: argparse.Namespace = build_parser().parse_args(arguments)
    plan_jobs(options)


@pytest.mark.parametrize(
    "host",
    ["cdn.lab:99999", "cdn.lab:0", "cdn.lab:x", "[127.0.0.1", "a..b", "a" * 64 + ".lab", "a\nb", "a b", ""],
)
def test_a_bad_url_is_wrong_usage_with_a_hint(host: str) -> None:
    with pytest.raises(CommandError) as refused:
        _plan(f"smkex://{host}/x")
    assert refused.value.status == ExitStatus.USAGE
    assert refused.value.hint


@pytest.mark.parametrize(
    "field", ["Content-Length: 5", "transfer-encoding: chunked", "a b: c", "Connection: x"]
)
def test_a_field_that_frames_the_message_is_wrong_usage(field: str) -> None:
    with pytest.raises(SystemExit) as refused:
        _plan("smkex://cdn.lab/x", "-H", field)
    assert refused.value.code == 2


def test_a_field_given_twice_is_kept_twice() -> None:
    options = build_parser().parse_args(["smkex://cdn.lab/", "-H", "X-A: 1", "-H", "X-A: 2"])
    assert options.header == [("X-A", "1"), ("X-A", "2")]
