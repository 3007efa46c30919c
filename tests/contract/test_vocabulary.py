"""Names and prose keep to one vocabulary: what CONTRIBUTING.md asks for, as far as a machine can check it."""

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "runtime",
    "node",
    "services",
    "smkex",
    "relay",
    "edge",
    "balancer",
    "origin",
    "sennit",
    "lab",
    "benchmarks",
)

# terms of art that say by themselves what a function does; every other module-level function has two words or more
TERMS = frozenset(
    re.findall(
        r"\w+",
        """
    attach capture checksum connect decapsulate detach dial downgrade drain drop encapsulate enrol exchange
    getattr handshake install load main measure merge pin prune purge render reset run seal serve sign trace u16
    u32 u64 u8 unload unseal upgrade vec16 vec8 verify withdraw
        """,
    )
)

# phrases that a reader of the field stumbles over; the pattern, and what to write in its place
PHRASES = {
    r"\bwhoever\b": "name the actor: the client, the caller, the operator",
    r"\bnobody\b": "no client, no process, none",
    r"\bsomebody\b": "name the actor",
    r"\btold\b": "is sent, receives, reports",
    r"\bfor ever\b": "indefinitely, without a limit",
    r"\bas good as\b": "say what it is",
    r"\bhas leave to\b": "holds a withdrawal grant, is allowed to",
    r"\bvouch": "authenticates",
    r"\bweakened\b": "downgrades",
    r"\bthat is none\b": "invalid",
    r"\bminds? (the|its|this|that)\b": "manages",
}

LISTS_OF_PHRASES = ("test_vocabulary.py", "test_documentation.py")


@cache
def modules() -> dict[Path, ast.Module]:
    return {
        path: ast.parse(path.read_text())
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def prose() -> Iterator[tuple[Path, int, str]]:
    """Lines of docs, docstrings, comments and messages. Prose that others wrote (licence, changelog) is left out."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        kept = path.suffix in (".md", ".py", ".c", ".h", ".yml", ".j2", ".service", ".js", ".html", ".sh")
        if not kept or name == "CHANGELOG.md" or path.name in LISTS_OF_PHRASES:
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            yield path, number, line


def test_a_function_says_what_it_does_in_two_words() -> None:
    single = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, tree in modules().items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("__")
        and "_" not in node.name.strip("_")
        and node.name.strip("_") not in TERMS
    ]
    assert not single, "\n".join(single)


def test_one_name_is_one_class() -> None:
    where = defaultdict(list)
    for path, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].append(str(path.relative_to(ROOT)))
    twins = {name: paths for name, paths in where.items() if len(paths) > 1}
    assert not twins


@pytest.mark.parametrize(("pattern", "instead"), PHRASES.items())
def test_a_phrase_does_not_come_back(pattern: str, instead: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, number, line in prose()
        if re.search(pattern, line.replace("_", " "), re.IGNORECASE)
    ]
    assert not found, f"write instead: {instead}\n" + "\n".join(found)
