"""Draw the lab's network from its topology: `python tools/draw_network.py docs/network.svg`. A test compares them."""

import sys
from pathlib import Path

# run from anywhere: the topology is the repository's own
sys.path.insert(0, str(Path(__file__).parents[1]))

from lab.topology import LAB, VIP, LabNode, Topology

WIDTH, ROW = 900, 132
BOX, LINE = 160, 14  # width of a node; height of a line of text in it
COLUMNS = {"client": 100, "carrier": 340, "edge": 580, "backbone": 800}
COLOURS = {"client": "#f3f3f3", "carrier": "#e3edf9", "edge": "#fdeedb", "backbone": "#e9f5e6"}
STYLE = (
    "text{font-family:sans-serif;fill:#222;text-anchor:middle}.name{font-size:14px;font-weight:bold}"
    ".what{font-size:10px;fill:#555}.end{font-size:10px;font-family:monospace;fill:#444}.link{stroke:#777;stroke-width:1.6}"
    ".bgp{stroke:#1f5fa8;stroke-width:2.4}.head{font-size:12px;fill:#777}"
)


def column(topology: Topology, node: LabNode) -> str:
    if node.edge_id is not None:
        return "edge"
    if node.asn is not None:
        return "carrier"
    return "backbone" if any(end.node == node.name for end in topology.backbone) else "client"


def places(topology: Topology) -> dict[str, tuple[int, int]]:
    """Where each node stands. A carrier without a resolver, the transit, stands between the others."""
    columns: dict[str, list[LabNode]] = {name: [] for name in COLUMNS}
    for node in topology.nodes:
        columns[column(topology, node)].append(node)
    carriers = columns["carrier"]
    middle = [node for node in carriers if not node.resolves]
    ends = [node for node in carriers if node.resolves]
    columns["carrier"] = [*ends[:1], *middle, *ends[1:]]
    columns["edge"] = [topology.nearest_edge(carrier.name) for carrier in columns["carrier"]]
    rows = max(len(nodes) for nodes in columns.values())
    return {
        node.name: (COLUMNS[name], round(70 + ROW * (rows * (at + 0.5) / len(nodes) - 0.5) + ROW / 2))
        for name, nodes in columns.items()
        for at, node in enumerate(nodes)
    }


def what(node: LabNode) -> str:
    if node.edge_id is not None:
        return f"AS {node.asn}, edge id {node.edge_id}"
    if node.asn is not None:
        return f"AS {node.asn}" + (", resolver" if node.resolves else "")
    return {"phone": "two interfaces", "control": "control plane", "origin": "HTTP server"}.get(node.name, "")


def box(topology: Topology, node: LabNode, at: tuple[int, int]) -> str:
    """A node: its name, what it is, and its interfaces."""
    x, y = at
    texts = [("name", node.name), ("what", what(node))]
    texts += [("end", f"{end.interface}  {end.address}") for end in topology.interfaces(node.name)]
    if node.edge_id is not None:
        texts.append(("end", f"lo  {VIP}/32"))
    height = 16 + LINE * len(texts)
    top = y - height // 2
    fill = COLOURS[column(topology, node)]
    lines = "".join(
        f'<text class="{kind}" x="{x}" y="{top + 20 + LINE * number}">{text}</text>'
        for number, (kind, text) in enumerate(texts)
    )
    size = f'x="{x - BOX // 2}" y="{top}" width="{BOX}" height="{height}" rx="6"'
    return f'<rect {size} fill="{fill}" stroke="#888"/>{lines}'


def line(one: tuple[int, int], other: tuple[int, int], kind: str) -> str:
    return f'<line class="{kind}" x1="{one[0]}" y1="{one[1]}" x2="{other[0]}" y2="{other[1]}"/>'


def draw(topology: Topology) -> str:
    """The whole drawing as SVG."""
    at = places(topology)
    height = max(y for _, y in at.values()) + 100
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for name, x in COLUMNS.items():
        parts.append(
            f'<text class="head" x="{x}" y="26">{name if name != "backbone" else "behind the backbone"}</text>'
        )
    bus = (COLUMNS["edge"] + COLUMNS["backbone"]) // 2
    members = [(end, at[end.node]) for end in topology.backbone]
    low, high = min(y for _, (_, y) in members), max(y for _, (_, y) in members)
    parts.append(line((bus, low), (bus, high), "link"))
    parts.append(
        f'<text class="what" x="{bus}" y="{high + 60}">backbone {topology.backbone[0].address.network}</text>'
    )
    for _, place in members:
        parts.append(line(place, (bus, place[1]), "link"))
    for link in topology.links:
        one, other = at[link.left.node], at[link.right.node]
        parts.append(line(one, other, "bgp" if link.bgp else "link"))
    parts += [box(topology, topology.node(name), place) for name, place in at.items()]
    key = height - 22
    parts.append(
        line((40, key), (80, key), "bgp")
        + f'<text class="what" x="150" y="{key + 4}">a cable with BGP over it</text>'
    )
    parts.append(
        line((260, key), (300, key), "link")
        + f'<text class="what" x="350" y="{key + 4}">a cable without</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(LAB))
