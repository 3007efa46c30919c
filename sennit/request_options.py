"""What `sennit get` asks for: method, body and header fields, as curl has them."""

import argparse
import re
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.errors import CommandError, ExitStatus

FRAMING_FIELDS = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORM = "application/x-www-form-urlencoded"
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """The request of every URL."""

    method: str
    headers: list[tuple[str, str]]
    content: bytes | None
    follow: bool

    @property
    def may_resume(self) -> bool:
        """Whether a broken transfer can be continued: a part of a GET's content."""
        return self.method == "GET" and self.content is None

    @property
    def may_repeat(self) -> bool:
        """Whether the request may be sent again when it is unknown what became of it (RFC 9110 section 9.2.2)."""
        return self.method in REPEATABLE


def add_request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        type=_parse_header,
        default=[],
        metavar="NAME: VALUE",
        help="send this header field; repeatable",
    )
    parser.add_argument(
        "-X", "--request", type=_parse_method, metavar="METHOD", help="use this method in place of GET"
    )
    parser.add_argument(
        "-I", "--head", action="store_true", help="ask for the head alone (HEAD) and print it"
    )
    parser.add_argument(
        "-d",
        "--data",
        action="append",
        metavar="DATA",
        help="send DATA as the body of a POST; @FILE reads a file, @- standard input; several are joined by '&'",
    )
    parser.add_argument(
        "-L",
        "--location",
        action="store_true",
        help="follow redirects inside the URL's host; others are never followed",
    )


def plan_request(options: argparse.Namespace) -> RequestPlan:
    """Raises `CommandError` where options contradict each other, or a file cannot be read."""
    if options.head and options.data:
        raise _usage_error("-I and -d contradict each other", "-X HEAD -d DATA sends a body with HEAD")
    content = None if options.data is None else b"&".join(_read_data(text) for text in options.data)
    default = "HEAD" if options.head else "GET" if content is None else "POST"
    headers = list(options.header)
    given = {name.lower() for name, _ in headers}
    if content is not None and "content-type" not in given:
        headers.append(("content-type", FORM))
    if "user-agent" not in given:
        headers.append(("user-agent", f"sennit/{_own_version()}"))
    plan = RequestPlan(options.request or default, headers, content, options.location)
    if options.resume and not plan.may_resume:
        raise _usage_error("-C continues a GET alone", "leave out -C, or -X, -d and -I")
    return plan


def _own_version() -> str:
    try:
        return version("sennit")
    except PackageNotFoundError:  # a checkout that is not installed
        return "0"


def _read_data(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    if text == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise _usage_error(f"-d {text}: {error.strerror}", "@FILE reads a file, @- standard input") from None


def _parse_method(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a method")
    if text in ("CONNECT", "TRACE"):
        raise argparse.ArgumentTypeError(f"{text} is not served in sessions")
    return text


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not (colon and name.strip() and text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME: VALUE")
    if name.strip().lower() in FRAMING_FIELDS:
        raise argparse.ArgumentTypeError(f"{name.strip()} frames the message and cannot be set")
    if not TOKEN.fullmatch(name.strip()):
        raise argparse.ArgumentTypeError(f"{name.strip()!r} is not the name of a header field")
    return name.strip(), value.strip()


def _usage_error(text: str, hint: str) -> CommandError:
    return CommandError(text, hint=hint, status=ExitStatus.USAGE)
