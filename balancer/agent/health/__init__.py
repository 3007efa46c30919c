"""Check the edge, the VIP and the forwarder of this node."""
