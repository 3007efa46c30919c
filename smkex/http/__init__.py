"""HTTP/1.1 as a client, over TCP, TLS or sessions: a connection with anything left over is closed, never reused."""
