"""The edge beside nginx and uvicorn: requests, memory, growth."""
