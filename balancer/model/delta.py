"""The difference between two generations of the forwarding table as JSON; it contains all VIPs."""

from collections.abc import Mapping
from typing import Any


def merge(older: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newer table; raises ValueError if the delta does not apply. The result is not validated."""
    try:
        if older["generation"] != delta["since"]:
            raise ValueError(f"since: {delta['since']}, but generation {older['generation']} is here")
        removed = set(delta["removed"])
        edges = {edge["id"]: edge for edge in older["edges"] if edge["id"] not in removed}
        edges |= {edge["id"]: edge for edge in delta["edges"]}
        in_order = [edges[edge_id] for edge_id in sorted(edges)]
        newer = {"generation": delta["generation"], "vips": delta["vips"], "edges": in_order}
        gone = set(delta.get("removed_sites", ()))
        sites = {site["name"]: site for site in older.get("sites", ()) if site["name"] not in gone}
        sites |= {site["name"]: site for site in delta.get("sites", ())}
        return newer | ({"sites": [sites[name] for name in sorted(sites)]} if sites else {})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a difference of two tables: {error}") from None
