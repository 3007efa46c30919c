"""Shared by all daemons: settings, logging, systemd, errors, capabilities, atomic files."""
