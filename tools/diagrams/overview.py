"""The README's picture: two paths, two edges, one owner."""

from diagrams.canvas import Canvas


def draw(colours: dict[str, str]) -> str:
    """Return the picture as SVG in the given palette."""
    canvas = Canvas(960, 440, colours, "A client reaches one edge over two paths")
    canvas.text(480, 30, "every edge announces the same anycast address", size=13, ink="quiet")
    canvas.box(30, 155, 130, 130, "client", "library, command", "or proxy")
    canvas.box(300, 70, 110, 56, "ISP A", "cellular")
    canvas.box(300, 314, 110, 56, "ISP B", "Wi-Fi")
    canvas.box(560, 48, 160, 100, "edge 1: owner", "HTTP and cache", "forwarder in eBPF", ink="path0")
    canvas.box(560, 292, 160, 100, "edge 2: ingress", "HTTP and cache", "forwarder in eBPF", ink="path1")
    canvas.box(812, 62, 130, 72, "origin", "HTTP server")
    canvas.box(812, 184, 130, 72, "control plane", "ids, health, table")

    canvas.arrow((95, 155), (95, 98), (300, 98), ink="path0", width=2.5, both=True)
    canvas.arrow((410, 98), (560, 98), ink="path0", width=2.5, both=True)
    canvas.badge(485, 98, 1, "path0")
    canvas.text(197, 84, "path 0", size=13, ink="path0", bold=True)
    canvas.text(485, 76, "key shares,", size=12)
    canvas.text(485, 126, "id of the owner", size=12)

    canvas.arrow((95, 285), (95, 342), (300, 342), ink="path1", width=2.5, both=True)
    canvas.arrow((410, 342), (560, 342), ink="path1", width=2.5, both=True)
    canvas.badge(485, 342, 2, "path1")
    canvas.text(197, 362, "path 1", size=13, ink="path1", bold=True)
    canvas.text(485, 320, "nonces and binding,", size=12)
    canvas.text(485, 370, "sent to port base + id", size=12)

    canvas.arrow((640, 292), (640, 148), ink="path1", width=2.5, both=True, dashed=True)
    canvas.badge(640, 220, 3, "path1")
    canvas.text(622, 210, "tunnel to the owner,", size=12, anchor="end")
    canvas.text(622, 227, "replies return by", size=12, anchor="end")
    canvas.text(622, 244, "the same edge", size=12, anchor="end")

    canvas.arrow((720, 98), (812, 98), ink="text", both=True)
    canvas.text(766, 84, "cache miss", size=12, ink="quiet")
    canvas.arrow((812, 206), (690, 206), (690, 148), ink="intent", both=True)
    canvas.arrow((812, 234), (690, 234), (690, 292), ink="intent", both=True)
    canvas.text(751, 225, "forwarding table", size=12, ink="intent")
    canvas.text(
        480,
        424,
        "An attacker has to control both paths, in step, to pass for the edge.",
        size=13,
        ink="quiet",
    )
    return canvas.svg()
