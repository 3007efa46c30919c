"""`/`: the fleet page and its files, with a Content-Security-Policy that allows this server only."""

from importlib import resources

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

HEADERS = {
    # the page loads from and connects to this server only, and must not be framed
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def _serve_file(name: str) -> Response:
    content = resources.files("balancer.control.page").joinpath("static", name).read_bytes()
    return Response(content, media_type=TYPES[name.rpartition(".")[2]], headers=HEADERS)


def _add_file(path: str, name: str) -> None:
    def serve() -> Response:
        return _serve_file(name)

    router.add_api_route(path, serve, methods=["GET", "HEAD"])


_add_file("/", "fleet.html")
SCRIPTS = ("fleet", "api", "charts", "drawing", "edges", "origins", "rings", "services", "svg", "traffic")
for _each in ("fleet.css", "icon.svg", *(f"{name}.js" for name in SCRIPTS)):
    _add_file(f"/page/{_each}", _each)
