"""HTTP/1.1 as a server, of the edge's sessions and of the origin: uvicorn's protocol with bounds and checks."""
