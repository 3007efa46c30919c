"""`make bench`: run every benchmark and print one line each; `--json` for programs."""

import json
import sys

from benchmarks import key_exchange, records


def main(arguments: list[str]) -> int:
    results = [key_exchange.measure(), records.measure()]
    if "--json" in arguments:
        print(json.dumps([result.as_dict() for result in results]))
        return 0
    for result in results:
        print(result.text())
    return 0


sys.exit(main(sys.argv[1:]))
