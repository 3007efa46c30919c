"""How this copy was built: releases have `smkex.core` compiled (packaging/build-wheel), a work tree has its sources."""

import importlib.metadata
import importlib.util


def core_is_compiled() -> bool:
    """Whether `smkex.core` is machine code; it behaves the same, and costs about half."""
    spec = importlib.util.find_spec("smkex.core.session.session")
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")


def description() -> str:
    """As in "0.1.0, core compiled"."""
    return (
        f"{importlib.metadata.version('sennit')}, core {'compiled' if core_is_compiled() else 'interpreted'}"
    )
