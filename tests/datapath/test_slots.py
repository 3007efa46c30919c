"""The two slots of a generation: a slot is rewritten only when no program can read it."""

from dataclasses import replace

import pytest
from loaded_programs import Programs

from balancer.datapath.maps.layout import ID
from balancer.model.reference.decision import ReferenceForwarder
from balancer.model.table import EdgeState

pytestmark = pytest.mark.needs("root", "bcc")


def test_before_edges_are_written_anew_a_map_of_maps_is_replaced(
    programs: Programs, reference: ReferenceForwarder
) -> None:
    """With which the kernel waits until no program runs that began before; the tunnels themselves are the same."""
    tunnels = programs.map("tunnels", ID.size)

    def put(state: EdgeState) -> bytes | None:
        edges = tuple(replace(edge, state=state) for edge in reference.table.edges)
        programs.put(replace(reference, table=replace(reference.table, edges=edges)))
        inside = tunnels.get(ID.pack(programs.live.words.slot))
        assert inside
        return inside

    try:
        first, second, third = (put(state) for state in (EdgeState.UP, EdgeState.DRAINING, EdgeState.DOWN))
        assert len({first, second, third}) == 3
        programs.put(reference)
        assert put(EdgeState.DOWN) == third, "what did not change is not waited for"
    finally:
        programs.put(reference)
