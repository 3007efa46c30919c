"""Serve a directory as the CDN's origin."""

import argparse


def run(arguments: list[str]) -> int:
    from origin.main import run as serve
    from origin.settings import OriginSettings
    from runtime.logging import log_to_stderr

    settings = OriginSettings.from_arguments(arguments)
    log_to_stderr(settings.log_level)
    serve(settings)
    return 0


def build_parser() -> argparse.ArgumentParser:
    from origin.settings import OriginSettings

    return OriginSettings.argument_parser()
