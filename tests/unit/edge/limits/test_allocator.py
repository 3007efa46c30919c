"""The thresholds of the allocator."""

import resource

from edge.limits.allocator import retain_freed_memory


def test_large_blocks_that_are_freed_are_had_again_without_page_faults() -> None:
    retain_freed_memory()

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(100):
            assert len(bytearray(256 << 10)) == 256 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert faults() < 100 * 64 // 4  # a block has 64 pages
