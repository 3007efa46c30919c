"""Transport `mptcp`: one kernel MPTCP connection whose messages are pinned to paths."""
