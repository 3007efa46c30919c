"""The two loops of docs/architecture.md: packets and intent."""

from diagrams.canvas import Canvas


def draw(colours: dict[str, str]) -> str:
    """Return the picture as SVG in the given palette."""
    canvas = Canvas(980, 460, colours, "Two loops: packets and intent")
    canvas.text(
        24,
        32,
        "Packets: every step is decided by the packet and the table",
        size=14,
        anchor="start",
        bold=True,
    )
    canvas.box(24, 56, 130, 80, "client", "smkex/client")
    canvas.box(250, 56, 150, 80, "ingress edge", "balancer/datapath")
    canvas.box(500, 56, 150, 80, "owner", "balancer/datapath", "edge/server")
    canvas.box(720, 56, 100, 80, "cache", "edge/cache")
    canvas.box(880, 56, 84, 80, "origin", "origin")
    canvas.arrow((154, 84), (250, 84), ink="path1")
    canvas.arrow((400, 84), (500, 84), ink="path1")
    canvas.arrow((500, 112), (400, 112), ink="path1")
    canvas.arrow((250, 112), (154, 112), ink="path1")
    canvas.text(202, 76, "path 1", size=12, ink="path1")
    canvas.text(202, 128, "replies", size=12, ink="path1")
    canvas.text(450, 76, "tunnel", size=12, ink="path1")
    canvas.text(450, 128, "by mark", size=12, ink="path1")
    canvas.arrow((89, 136), (89, 166), (575, 166), (575, 136), ink="path0", both=True)
    canvas.text(332, 184, "path 0, straight to its nearest edge: the owner", size=12, ink="path0")
    canvas.arrow((650, 96), (720, 96), ink="text", both=True)
    canvas.arrow((820, 96), (880, 96), ink="text", both=True)
    canvas.text(850, 84, "miss", size=12, ink="quiet")

    canvas.arrow((24, 210), (956, 210), width=1, dashed=True, head=False)
    canvas.text(24, 240, "Intent: every step is a whole value", size=14, anchor="start", bold=True)
    canvas.box(24, 262, 150, 64, "probes, checks", "balancer/agent/health")
    canvas.box(214, 262, 140, 64, "health", "balancer/agent")
    canvas.box(404, 262, 160, 64, "lease", "one heartbeat")
    canvas.box(624, 262, 160, 64, "control plane", "balancer/control", ink="intent")
    canvas.box(844, 262, 112, 64, "operator", "page, command")
    canvas.arrow((174, 294), (214, 294), ink="intent")
    canvas.arrow((354, 294), (404, 294), ink="intent")
    canvas.arrow((564, 294), (624, 294), ink="intent")
    canvas.arrow((844, 294), (784, 294), ink="intent")
    canvas.box(624, 376, 160, 64, "forwarding table", "one signed generation")
    canvas.box(404, 376, 160, 64, "agent", "table.json, verified")
    canvas.box(214, 376, 140, 64, "forwarder", "balancer/datapath")
    canvas.box(24, 376, 150, 64, "BPF maps", "in force by one word")
    canvas.arrow((704, 326), (704, 376), ink="intent")
    canvas.arrow((624, 408), (564, 408), ink="intent")
    canvas.arrow((404, 408), (354, 408), ink="intent")
    canvas.arrow((214, 408), (174, 408), ink="intent")
    canvas.arrow((284, 376), (284, 350), (484, 350), (484, 326), ink="intent", dashed=True)
    canvas.text(384, 343, "applied generation", size=12, ink="intent")
    canvas.box(844, 376, 112, 64, "BIRD", "announces", ink="line")
    canvas.arrow((484, 440), (484, 452), (900, 452), (900, 440), ink="intent", dashed=True)
    return canvas.svg()
