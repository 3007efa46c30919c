"""Draw an event log of --qlog as a page: each session's paths over time."""

import argparse
from pathlib import Path

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from smkex.client.recording.event_file import read_event_log
    from smkex.client.recording.event_page import draw_page

    options = build_parser().parse_args(arguments)
    try:
        sessions = read_event_log(options.events)
        page = draw_page(sessions, options.events.name)
        options.output.write_text(page)
    except (OSError, ValueError) as error:
        raise CommandError(str(error), hint="FILE is what `sennit get --qlog FILE` wrote") from error
    print(f"{options.output}: {len(sessions)} session{'s' * (len(sessions) != 1)}")
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit event-page", description=__doc__)
    parser.add_argument("events", type=Path, metavar="FILE", help="the event log")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PAGE", help="the page to write (HTML)"
    )
    return parser
