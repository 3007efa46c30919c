"""How many examples a property with many is given: a quarter in `make test`, all of them in `make test-long`."""

import os

ALL = os.environ.get("SENNIT_EXAMPLES") == "all"


def examples(full: int) -> int:
    """Return `full` where SENNIT_EXAMPLES=all, else a quarter: each run draws others."""
    return full if ALL else full // 4
