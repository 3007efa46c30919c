"""`python -m benchmarks.control.lab_purges URL CA TOKEN-FILE ROUNDS`, on a host of the lab: purge, and wait for all.

Prints milliseconds as JSON: from a purge's request until the control plane says that all live edges have applied it.
"""

import json
import ssl
import sys
import time
from pathlib import Path

import httpx

EDGES = 3
PAUSE = 0.037  # seconds between purges: they meet the edges' looks at their file at any moment


def time_purges(url: str, authority: str, token: str, rounds: int) -> list[float]:
    """Return the milliseconds of each purge. Raises RuntimeError where an edge does not apply it."""
    headers = {"Authorization": f"Bearer {token}"}
    trusting = ssl.create_default_context(cafile=authority)
    took: list[float] = []
    with httpx.Client(base_url=url, headers=headers, verify=trusting, timeout=70) as control:
        control.post("/v1/purges", json={"tag": "first"}).raise_for_status()
        while control.get("/v1/purges/1/progress?wait=1").raise_for_status().json()["done"] < EDGES:
            time.sleep(0.1)  # not every edge has been heard of yet
        for number in range(rounds):
            began = time.monotonic()
            made = control.post("/v1/purges", json={"tag": f"t{number}"}).raise_for_status().json()
            progress = control.get(f"/v1/purges/{made['id']}/progress?wait=30").raise_for_status().json()
            took.append((time.monotonic() - began) * 1000)
            if progress["edges"] != EDGES or progress["done"] != EDGES:
                raise RuntimeError(f"purge {number}: {progress}")
            time.sleep(PAUSE)
    return took


if __name__ == "__main__":
    url, authority, token_file, rounds = sys.argv[1:]
    print(json.dumps(time_purges(url, authority, Path(token_file).read_text().strip(), int(rounds))))
