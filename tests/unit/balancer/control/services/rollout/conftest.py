"""SQLite only: rollouts ask nothing of the database that the tests of revisions do not."""

import pytest


@pytest.fixture
def database() -> None:
    """SQLite in the state folder."""
