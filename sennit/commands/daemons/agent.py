"""Run the agent of a node: its enrolment, its lease, its table, its announcement."""

import argparse

from runtime.errors import CommandError, ExitStatus


def run(arguments: list[str]) -> int:
    from balancer.agent.announce.bird import BirdError
    from balancer.agent.announce.withdraw import withdraw
    from balancer.agent.daemon import run as run_agent
    from balancer.agent.enrolment import NotEnrolled
    from balancer.agent.settings import AgentSettings
    from balancer.agent.sync.lease import EdgeRemoved
    from runtime.logging import log_to_stderr

    try:
        settings = AgentSettings.from_arguments(arguments)
        log_to_stderr(settings.log_level)
        if settings.withdraw:
            withdraw(settings)
        else:
            run_agent(settings, lambda: AgentSettings.from_arguments(arguments))
    except ValueError as error:
        raise CommandError(str(error), hint="`sennit agent --help`", status=ExitStatus.USAGE) from None
    except NotEnrolled as error:
        hint = "`sennit enrolment-token create` makes a one-time token"
        raise CommandError(f"not enrolled: {error}", hint=hint) from None
    except EdgeRemoved:
        hint = "to enrol again, remove agent/credential.json from the state folder and give a new enrolment token"
        raise CommandError("this edge was removed by the control plane", hint=hint) from None
    except BirdError as error:
        raise CommandError(f"the VIP cannot be withdrawn: {error}") from None
    except OSError as error:
        raise CommandError(str(error)) from None
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from balancer.agent.settings import AgentSettings

    return AgentSettings.argument_parser()
