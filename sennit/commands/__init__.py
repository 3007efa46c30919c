"""One module a subcommand, in rooms by who uses them; `sennit.main` finds a module by its name."""

import pkgutil


def command_modules() -> dict[str, str]:
    """Return the module of each subcommand by the subcommand's name, e.g. "edge-key", without importing it."""
    found = {}
    for room in pkgutil.iter_modules(__path__):
        folders = [f"{folder}/{room.name}" for folder in __path__]
        for module in pkgutil.iter_modules(folders):
            found[module.name.replace("_", "-")] = f"{__name__}.{room.name}.{module.name}"
    return dict(sorted(found.items()))
