"""Run code as a user without a name, as a daemon that was taken over would run."""

import json
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from lab.errors import LabFailed


def run_as_user(user: int, group: int, action: Callable[[], Any], supplementary: Sequence[int] = ()) -> Any:
    """Run `action` in a child that has become this user; return its value, which must be JSON. Raises `LabFailed`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(list(supplementary))
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            os.write(writing, json.dumps(action()).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise LabFailed(f"the process of user {user} failed")
    return json.loads(answer)
