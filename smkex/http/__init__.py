"""HTTP/1.1 over TCP, TLS or sessions: as a client, as a server, and the semantics that both share.

A client connection with anything left over is closed, never reused.
"""
