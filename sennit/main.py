"""`sennit`: find the subcommand and run it.

A subcommand is a module in a room of `sennit.commands` with a docstring, whose first line is its help, and a function
`run(arguments) -> int`. It is imported only when it is asked for.
"""

import ast
import importlib
import importlib.util
import sys
from pathlib import Path

from runtime.errors import CommandError, ExitStatus
from sennit.commands import command_modules
from smkex import build


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand.

    Returns the exit status (`runtime.errors.ExitStatus`). Data goes to standard output, everything else to
    standard error; a failure is one line `error:` and, where there is a cure, one line `hint:`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_command_overview())
        return ExitStatus.OK if arguments else ExitStatus.USAGE
    if arguments[0] == "--version":
        print(f"sennit {build.describe_build()}")
        return ExitStatus.OK
    name, rest = arguments[0], arguments[1:]
    try:
        modules = command_modules()
        if name not in modules:
            raise CommandError(
                f"no such command: {name}", hint="`sennit help` lists the commands", status=ExitStatus.USAGE
            )
        module = importlib.import_module(modules[name])
        return int(module.run(rest))
    except ModuleNotFoundError as error:
        return _report_missing_module(name, error)
    except CommandError as error:
        error.print_error()
        return error.status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        return ExitStatus.OK


def _report_missing_module(command: str, error: ModuleNotFoundError) -> int:
    """Report that a smaller installation lacks a library; raise `error` where the library is there."""
    library = (error.name or "").partition(".")[0]
    if not library or importlib.util.find_spec(library) is not None:
        raise error
    missing = CommandError(
        f"{command} needs the Python module {library}, which is not installed",
        hint='each part of Sennit is an extra of the package: `pip install "sennit[client,edge,control,forwarder]"`',
    )
    missing.print_error()
    return missing.status


def _command_overview() -> str:
    lines = ["usage: sennit COMMAND [ARGUMENTS]", "       sennit --version", ""]
    for name, module in command_modules().items():
        # read, not imported: help must not pay for every command's libraries
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        tree = ast.parse(Path(spec.origin).read_text())
        lines.append(f"  {name:<16} {(ast.get_docstring(tree) or '').splitlines()[0]}")
    return "\n".join([*lines, "", "`sennit COMMAND --help` shows its options."])
