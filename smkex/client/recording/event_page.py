"""Draw the sessions of an event log as one page: each path over time, its state, its rate and its round trips.

The page needs no script and fetches nothing. Every text in it is escaped: names and errors come from the network.
"""

from html import escape
from itertools import pairwise

from smkex.client.recording.event_file import Metrics, RecordedPath, RecordedSession

WIDTH, LEFT, LANE, GAP = (
    960,
    150,
    72,
    30,
)  # pixels: the drawing, what is left of the lanes, a lane, what is below it
PLOT = WIDTH - LEFT - 90
FACTS = {
    "vip": "VIP {}",
    "transport": "transport {}",
    "mode": "mode {}",
    "kex": "key exchange {}",
    "aead": "{}",
    "owner_id": "owner {}",
    "setup_ms": "set up in {} ms",
}
STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--soft:#5b6570;--line:#c9d1d9;--open:#eef6ee;--stalled:#fbe3b5;
--gone:#f6d5d3;--rate:#2f74c0;--rtt:#b3541e;--page:#fff}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9aa5b1;--line:#3a434d;--open:#16261a;--stalled:#4d3a10;
--gone:#4a1f1d;--rate:#6cabf0;--rtt:#f0a06c;--page:#0f1419}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--page);max-width:60rem;margin:2rem auto;
padding:0 1rem}
h2{margin:2.5rem 0 .2rem;font-size:1.15rem}p{margin:.2rem 0;color:var(--soft)}svg{width:100%;height:auto}
text{font:12px system-ui,sans-serif;fill:var(--text)}.soft{fill:var(--soft)}.axis{stroke:var(--line)}
.open{fill:var(--open)}.stalled{fill:var(--stalled)}.gone{fill:var(--gone)}
.rate{fill:var(--rate);fill-opacity:.35;stroke:var(--rate)}.rtt{fill:none;stroke:var(--rtt);stroke-width:1.5}
.key span{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 1em;vertical-align:-.05em}
"""
KEY = (
    '<p class="key"><span style="background:var(--rate)"></span>bytes a second, both ways'
    '<span style="background:var(--rtt)"></span>round-trip time<span style="background:var(--stalled)"></span>stalled'
    '<span style="background:var(--gone)"></span>closed</p>'
)


def draw_page(sessions: list[RecordedSession], title: str) -> str:
    """Return the page as HTML."""
    drawn = "\n".join(_draw_session(session) for session in sessions) or "<p>No session.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>{KEY}\n{drawn}\n</body></html>\n"
    )


def _draw_session(session: RecordedSession) -> str:
    duration = max((session.ended or session.last) - session.began, 1e-3)
    facts = [text.format(session.facts[name]) for name, text in FACTS.items() if session.facts.get(name)]
    if session.steps:
        facts.append(f"{session.steps} key step{'s' if session.steps > 1 else ''}")
    if session.ended is None:
        outcome = "still runs"
    else:
        outcome = f"ended after {duration:.3g} s" + (f" with {session.error}" if session.error else "")
    height = len(session.paths) * (LANE + GAP) + 24
    lanes = [
        _draw_path(path, session, duration, row * (LANE + GAP) + GAP)
        for row, path in enumerate(session.paths.values())
    ]
    notes = "".join(f"<p>{escape(str(note))}</p>" for note in session.facts.get("notes") or ())
    return (
        f"<h2>Session {escape(session.tag[:16])}</h2><p>{escape(', '.join(facts))}; {escape(outcome)}</p>{notes}"
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="paths over time">{"".join(lanes)}'
        f"{_draw_axis(duration, height)}</svg>"
    )


def _draw_path(path: RecordedPath, session: RecordedSession, duration: float, top: int) -> str:
    def x(at: float) -> float:
        return LEFT + PLOT * min(max((at - session.began) / duration, 0.0), 1.0)

    parts = [f'<text x="0" y="{top + 16}">path {path.number}</text>']
    for row, fact in enumerate(("interface", "address")):
        if path.facts.get(fact):
            text = escape(str(path.facts[fact]))
            parts.append(f'<text class="soft" x="0" y="{top + 33 + 16 * row}">{text}</text>')
    ends = [at for at, _ in path.states[1:]] + [session.ended or session.last]
    for (begin, state), end in zip(path.states, ends, strict=True):
        kind = state if state in ("open", "stalled") else "gone"
        width = max(x(end) - x(begin), 1.0)
        parts.append(
            f'<rect class="{kind}" x="{x(begin):.1f}" y="{top}" width="{width:.1f}" height="{LANE}">'
            f"<title>{escape(state)} from {begin - session.began:.3f} s</title></rect>"
        )
    rates = [(after.at, _find_rate(before, after)) for before, after in pairwise(path.samples)]
    trips = [(sample.at, sample.rtt) for sample in path.samples if sample.rtt is not None]
    if rates and (most := max(rate for _, rate in rates)) > 0:
        line = " ".join(f"{x(at):.1f},{top + LANE - (LANE - 6) * rate / most:.1f}" for at, rate in rates)
        first, last = x(path.samples[0].at), x(rates[-1][0])
        points = f"{first:.1f},{top + LANE} {line} {last:.1f},{top + LANE}"
        parts.append(f'<polygon class="rate" points="{points}"/>')
        parts.append(f'<text class="soft" x="{WIDTH - 84}" y="{top + 16}">{_describe_rate(most)}</text>')
    if trips and (slowest := max(rtt for _, rtt in trips)) > 0:
        line = " ".join(f"{x(at):.1f},{top + LANE - (LANE - 6) * rtt / slowest:.1f}" for at, rtt in trips)
        parts.append(f'<polyline class="rtt" points="{line}"/>')
        parts.append(f'<text class="soft" x="{WIDTH - 84}" y="{top + 33}">{slowest * 1000:.3g} ms</text>')
    return "".join(parts)


def _find_rate(before: Metrics, after: Metrics) -> float:
    """Bytes a second of both directions between two samples."""
    moved = after.sent + after.received - before.sent - before.received
    return max(moved, 0) / max(after.at - before.at, 1e-3)


def _describe_rate(rate: float) -> str:
    for unit, size in (("GB/s", 1e9), ("MB/s", 1e6), ("KB/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.3g} {unit}"
    return f"{rate:.3g} B/s"


def _draw_axis(duration: float, height: int) -> str:
    parts = [f'<line class="axis" x1="{LEFT}" x2="{LEFT + PLOT}" y1="{height - 20}" y2="{height - 20}"/>']
    for tick in range(5):
        at = LEFT + PLOT * tick / 4
        parts.append(f'<text class="soft" x="{at:.0f}" y="{height - 5}">{duration * tick / 4:.3g} s</text>')
    return "".join(parts)
