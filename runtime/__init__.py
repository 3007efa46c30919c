"""Ground floor of the daemons: settings, logging, systemd, errors, capabilities, atomic files."""
