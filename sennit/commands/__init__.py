"""One module a subcommand; `sennit.main` finds them by name."""
