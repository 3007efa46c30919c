"""The forwarder's daemon: follow the table, serve metrics, capture packets."""
