"""The edge's settings, its identity and the node that it runs on."""
