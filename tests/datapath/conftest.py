"""Fixtures: the loaded programs, and references that agree with them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from compiled_object import compiled_object
from loaded_programs import AT_A_SITE, REFERENCE, Programs

from balancer.datapath.load.form import load_programs
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.table import Encapsulation

A_SEED, ANOTHER_SEED = "00112233445566aa", "8899aabb00000000"
SEEDS = ((None, None), (A_SEED, A_SEED), (A_SEED, None), (ANOTHER_SEED, A_SEED))


@pytest.fixture(scope="session", params=["source", pytest.param("object", marks=pytest.mark.needs("clang"))])
def programs(request: pytest.FixtureRequest) -> Programs:
    """The programs as bcc compiles them here, and as a release has them, compiled ahead by clang."""
    return Programs(
        load_programs(compiled_object() if request.param == "object" else None, raw=True, fast=True)
    )


@pytest.fixture(scope="session")
def reference() -> ReferenceForwarder:
    return REFERENCE


@pytest.fixture(params=SEEDS, ids=["public seed", "secret seed", "first secret seed", "new seed"])
def site(programs: Programs, request: pytest.FixtureRequest) -> Iterator[ReferenceForwarder]:
    """The reference at a site whose ring has just changed; the programs as well."""
    ring, *others = AT_A_SITE.sites
    seed, previous_seed = request.param
    sites = (replace(ring, seed=seed, previous_seed=previous_seed), *others)
    reference = replace(REFERENCE, table=replace(AT_A_SITE, sites=sites))
    programs.put(reference)
    yield reference
    programs.put(REFERENCE)


@pytest.fixture(params=[None, *Encapsulation], ids=["as in the table", "ipip", "gue"])
def encapsulation(request: pytest.FixtureRequest, programs: Programs) -> Iterator[ReferenceForwarder]:
    """The reference with each encapsulation of its own; the programs as well."""
    reference = replace(REFERENCE, encapsulation=request.param)
    programs.put(reference)
    yield reference
    programs.put(REFERENCE)
