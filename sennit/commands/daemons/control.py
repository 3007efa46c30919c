"""Run the control plane: edges enrol here, forwarders follow its table."""

import argparse

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from balancer.control.server import serve
    from balancer.control.settings import ControlSettings
    from balancer.control.unusable_state import StateUnusable
    from runtime.logging import log_to_stderr

    try:
        settings = ControlSettings.from_arguments(arguments)
        settings.admin_token()
    except ValueError as error:
        raise CommandError(str(error), hint="`sennit control --help`", status=ExitStatus.USAGE) from None
    log_to_stderr(settings.log_level)
    try:
        return serve(settings)
    except StateUnusable as error:
        raise CommandError(str(error), hint=error.hint) from None
    except OSError as error:
        raise CommandError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    from balancer.control.settings import ControlSettings

    return ControlSettings.argument_parser()
