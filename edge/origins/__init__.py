"""The origins of a service: which one is asked, over which connections, and what happens when it fails."""
