"""Services of kind tcp: the streams of sessions, as they are, to targets."""
