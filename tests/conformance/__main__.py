"""Write docs/conformance.md: `python tests/conformance`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from cache_cases.page import render_page

    (ROOT / "docs" / "conformance.md").write_text(render_page())
