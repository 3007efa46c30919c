"""The hosts of the table: a bare root of each distribution, with what is known of it."""

from collections.abc import Iterator

import pytest
from bare_root import BareRoot, bare_root
from debian_image import SUITES
from platform_results import HostResult, saved_results


@pytest.fixture(scope="module", params=SUITES, ids=SUITES.values())
def host(request: pytest.FixtureRequest) -> Iterator[tuple[HostResult, BareRoot]]:
    name = SUITES[request.param]
    with bare_root(request.param) as root:
        # what this run leaves out stays as an earlier one noted it
        known = [result for result in saved_results() if result.host == name]
        yield known[0] if known else HostResult(name), root
