"""Make pages that are written for the repository's web view fit the site.

`<picture>` with a light and a dark drawing becomes two images that the theme switches; a link to a file outside docs/
becomes a link to the repository, and a warning where there is no such file.
"""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)

PICTURE = re.compile(
    r'<picture>.*?srcset="(?P<dark>[^"]+)".*?src="(?P<light>[^"]+)" alt="(?P<alt>[^"]+)".*?</picture>',
    re.DOTALL,
)
LINK = re.compile(r"\]\((?P<target>(?:\.\./)+[^)#\s]*)(?P<place>#[^)]*)?\)")
IMAGE = "```{{image}} {source}\n:class: only-{palette}\n:alt: {alt}\n```\n"


def adapt_page(app: Sphinx, name: str, content: list[str]) -> None:
    """Rewrite one page's source, as the event `source-read` hands it over."""
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        content[0] = LINK.sub(lambda link: _linked(app, page, link), PICTURE.sub(_pictured, content[0]))


def _pictured(picture: re.Match[str]) -> str:
    return "\n".join(
        IMAGE.format(source=picture[palette], palette=palette, alt=picture["alt"])
        for palette in ("light", "dark")
    )


def _linked(app: Sphinx, page: Path, link: re.Match[str]) -> str:
    there = (page.parent / link["target"]).resolve()
    docs = Path(app.srcdir).resolve()
    if there.is_relative_to(docs):
        return link[0]
    if not there.exists():
        log.warning("link to a missing file: %s", link["target"], location=str(page))
    kind = "tree" if there.is_dir() else "blob"
    rest = there.relative_to(docs.parent)
    return f"]({app.config.repository_url}/{kind}/main/{rest}{link['place'] or ''})"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_config_value("repository_url", "", "env", str)
    app.connect("source-read", adapt_page)
    return {"version": "1", "parallel_read_safe": True}
