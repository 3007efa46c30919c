"""The REST API as both ends see it: `schemas` are the bodies, `client` speaks to the control plane."""
