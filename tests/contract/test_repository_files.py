"""The files that describe the repository agree with one another and with the build."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert re.search(
        rf"^## {re.escape(PROJECT['version'])}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_the_repositorys_address_is_the_same_everywhere() -> None:
    assert "urls" not in PROJECT  # the address is a stand-in: no index may show it as a link
    home = yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"]
    cloned = re.findall(r"git clone (\S+)", (ROOT / "README.md").read_text())
    assert set(cloned) == {f"{home}.git"}
    contact = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml").read_text())
    for link in contact["contact_links"]:
        path = link["url"].removeprefix(f"{home}/blob/main/")
        assert (ROOT / path).exists(), link["url"]


def test_the_commit_hooks_run_what_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    check = makefile[makefile.index("\ncheck:") : makefile.index("\n# -W:")].replace("$(VENV)", ".venv")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = config["repos"]
    assert local["repo"] == "local"
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        tool, *arguments = hook["entry"].split()
        tool = tool.removeprefix(".venv/bin/").replace("make", "docs").replace("pytest", "-m pytest")
        assert tool in check, hook["entry"]
        for argument in arguments:
            assert argument in check, hook["entry"]


def test_the_workflow_runs_the_makefiles_targets() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    targets = {target for step in steps for target in re.findall(r"\bmake (\w+)$", step)}
    assert targets == {"check", "test"}


def test_every_path_that_has_owners_exists() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line and not line.startswith(("#", "*"))]
    assert paths
    for path in paths:
        assert (ROOT / path.strip("/")).exists(), path
