"""Serve HTTP inside SMKEX sessions: one edge of the CDN."""

import argparse


def run(arguments: list[str]) -> int:
    from edge.config.settings import EdgeSettings
    from edge.server.application import ApplicationUnusable
    from edge.server.main import run_edge
    from node.state.identity import NodeUnknown
    from runtime.capabilities import CapabilitiesHeld
    from runtime.errors import CommandError
    from runtime.logging import log_to_stderr
    from smkex.server.identity import IdentityUnusable

    settings = EdgeSettings.from_arguments(arguments)
    log_to_stderr(settings.log_level)
    try:
        run_edge(settings, lambda: EdgeSettings.from_arguments(arguments))
    except NodeUnknown as error:
        raise CommandError(str(error), hint="`sennit agent` writes node.json after enrolment") from None
    except IdentityUnusable as error:
        raise CommandError(
            str(error),
            hint="check the key and certificate options; `sennit fleet-key certify` makes a tofu certificate",
        ) from None
    except ApplicationUnusable as error:
        raise CommandError(str(error), hint="give --app as MODULE:APP, as for `uvicorn MODULE:APP`") from None
    except CapabilitiesHeld as error:
        raise CommandError(
            str(error), hint="no thread may start before the capabilities are dropped"
        ) from None
    except OSError as error:
        raise CommandError(
            f"cannot listen: {error}", hint="is the service address on lo (`ip address show dev lo`)?"
        ) from None
    return 0


def build_parser() -> argparse.ArgumentParser:
    from edge.config.settings import EdgeSettings

    return EdgeSettings.argument_parser()
