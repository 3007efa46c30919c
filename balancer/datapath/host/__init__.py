"""Keep the host as the forwarder needs it: compare what is wanted with the kernel's state, repair, report."""
