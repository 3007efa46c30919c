"""Build facts: releases have `smkex.core` compiled (packaging/build-wheel), a work tree has its sources."""

import importlib.metadata
import importlib.util


def core_is_compiled() -> bool:
    """Return whether `smkex.core` is compiled; it behaves the same at about half the CPU cost."""
    spec = importlib.util.find_spec("smkex.core.session.session")
    return spec is not None and spec.origin is not None and not spec.origin.endswith(".py")


def describe_build() -> str:
    """Return version and build, such as "0.1.0, core compiled"."""
    return (
        f"{importlib.metadata.version('sennit')}, core {'compiled' if core_is_compiled() else 'interpreted'}"
    )
