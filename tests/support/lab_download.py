"""What fixture `get` of the lab's tests is: `sennit get` of the sample on the phone."""

import subprocess
from collections.abc import Callable

GetSample = Callable[..., subprocess.CompletedProcess[str]]
