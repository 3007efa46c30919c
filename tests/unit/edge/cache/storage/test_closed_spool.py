"""A spool whose file is closed: nothing is read by a descriptor that may be another file's."""

from pathlib import Path

import pytest

from edge.cache.storage.body_files import BodyFile
from edge.cache.storage.spool import Spool, SpoolFailed


async def test_who_comes_after_the_file_was_closed_is_refused(tmp_path: Path) -> None:
    spool = Spool(lambda: BodyFile(tmp_path), small=10, limit=1000)
    early = spool.open_reader()
    await spool.write(bytes(100))
    spool.release()
    assert not spool.is_closed
    assert await early.read() == bytes(100)
    early.close()
    assert spool.is_closed
    with pytest.raises(SpoolFailed, match="closed before"):
        await spool.open_reader().read()
