"""The access log: lines, formatted in batches and written by a thread, to a file, a socket or journald."""
