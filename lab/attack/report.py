"""The table of attacks as measured: modes by powers, then each attack with the error that each end gave."""

from collections.abc import Sequence

from lab.attack.cells import Powers
from lab.attack.run import Result


def format_tables(results: list[Result]) -> str:
    """Lay both tables out for people."""
    modes = list(dict.fromkeys(result.mode for result in results))
    matrix = [("", *(str(powers) for powers in Powers))]
    matrix += [(mode, *(_format_cell(results, mode, powers) for powers in Powers)) for mode in modes]
    heads = ("MODE", "POWERS", "ATTACK", "OUTCOME", "AT THE CLIENT", "AT THE EDGES", "")
    details = [heads]
    details += [
        (r.mode, r.powers, r.attack, r.outcome, r.client, r.edges, "" if r.ok else f"FAILED: {r.expected}")
        for r in results
    ]
    failed = sum(not result.ok for result in results)
    verdict = "passed" if results and not failed else f"FAILED, {failed} of {len(results)}"
    return "\n\n".join([_align_columns(matrix), _align_columns(details), f"attack: {verdict}"])


def _format_cell(results: list[Result], mode: str, powers: Powers) -> str:
    here = [result for result in results if (result.mode, result.powers) == (mode, powers)]
    outcomes = sorted({result.outcome for result in here})
    return " or ".join(outcomes) + ("" if all(result.ok for result in here) else " (FAILED)") if here else "-"


def _align_columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
