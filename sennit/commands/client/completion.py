"""Print the completion script of a shell: bash, zsh or fish.

bash: `sennit completion bash > ~/.local/share/bash-completion/completions/sennit`.

zsh: `sennit completion zsh > FOLDER/_sennit`, with a folder of $fpath.

fish: `sennit completion fish > ~/.config/fish/completions/sennit.fish`.
"""

import argparse

from runtime.errors import ExitStatus


def run(arguments: list[str]) -> int:
    import shtab

    from sennit.parsers import installed_commands

    options = build_parser().parse_args(arguments)
    print(shtab.complete(installed_commands(), shell=options.shell))
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sennit completion", description=__doc__)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser
