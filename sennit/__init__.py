"""The command: nothing but subcommands with lazy imports."""
