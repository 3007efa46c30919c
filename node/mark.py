"""The mark that the forwarder sets on decapsulated packets, and that sockets and replies carry (SO_MARK).

The high byte is a tag, the low 16 bits are the ingress edge. balancer/datapath/c/layout.h has the same values for C.
"""

MARK_TAG = 0x5E000000
DIRECT_TAG = 0x5D000000  # of a VIP with direct replies: the ingress is recorded, no route matches this mark
MARK_MASK = 0xFF000000
INGRESS_MASK = 0x0000FFFF


def ingress_of_mark(mark: int) -> int | None:
    """Return the id of the ingress edge; None where the forwarder did not set this mark."""
    return mark & INGRESS_MASK if mark & MARK_MASK in (MARK_TAG, DIRECT_TAG) else None
