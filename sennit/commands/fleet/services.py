"""List, create, edit, activate and roll back services: what the CDN serves for which host names."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import CommandError, ExitStatus

if TYPE_CHECKING:
    from balancer.api.services_client import ServicesClient
    from sennit.service_views import ShownService


def run(arguments: list[str]) -> int:
    from sennit import remote
    from sennit.service_texts import describe_result

    options = build_parser().parse_args(arguments)
    result = remote.call_control(options, lambda client: _run_action(client, options))
    if options.json:
        print(json.dumps(_to_json(result), indent=2))
    elif text := describe_result(options, result):
        print(text)
    return ExitStatus.OK


def build_parser() -> argparse.ArgumentParser:
    from sennit import remote

    parser = argparse.ArgumentParser(prog="sennit services", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    def add_action(name: str, text: str, *, changes: bool = False) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text)
        remote.add_options(added, changes=changes)
        if name not in ("list", "top", "origins"):
            added.add_argument("name", help="the service")
        return added

    add_action("list", "list every service, and how far its last change has come")
    top = add_action("top", "show what each service did lately on all edges, the busiest first")
    top.add_argument(
        "--seconds", type=int, default=60, metavar="N", help="of the last so many seconds (default: 60)"
    )
    ill = add_action("origins", "list origins that are not healthy at an edge, then the slowest")
    ill.add_argument("name", nargs="?", help="the service (default: all)")
    shown = add_action("show", "show a service and the document of its active revision, or of another")
    shown.add_argument("--revision", type=int, metavar="N")
    shown.add_argument("--revisions", action="store_true", help="list the revisions instead")
    add_action("create", "create a service; it serves nothing before a revision is active", changes=True)
    edited = add_action("edit", "add a revision as a draft", changes=True)
    edited.add_argument("--activate", action="store_true", help="activate it, too")
    checked = add_action("validate", "check whether a document could be activated; stores nothing")
    compared = add_action("diff", "show what differs between two revisions, field by field")
    compared.add_argument("before", nargs="?", type=int, help="default: the active one")
    compared.add_argument("after", nargs="?", type=int, help="default: the newest one")
    applied = add_action(
        "apply", "make a service what a file says, and print what that changes", changes=True
    )
    applied.add_argument("--dry-run", action="store_true", help="change nothing")
    for each in (edited, checked, compared, applied):
        text = "YAML or JSON; - for standard input"
        text += " (default: edit in $EDITOR)" if each is edited else ""
        text += " (compared with the active revision)" if each is compared else ""
        each.add_argument(
            "-f", "--file", type=Path, metavar="FILE", help=text, required=each in (checked, applied)
        )
    activated = add_action("activate", "put a draft in force", changes=True)
    activated.add_argument("revision", nargs="?", type=int, help="default: the newest one")
    for each in (activated, applied):
        each.add_argument(
            "--stage",
            action="append",
            default=[],
            metavar="SITE|SHARE",
            help="first only at this site, or at this share of edges (10%%); repeat for more stages",
        )
        each.add_argument(
            "--dwell",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long a stage must be well (default: 60)",
        )
    steered = add_action("rollout", "show how far a rollout has come, or steer it", changes=True)
    steered.add_argument(
        "steer",
        nargs="?",
        choices=("advance", "pause", "resume", "return"),
        help="the next stage now; hold it; let it go on; go back (default: show it)",
    )
    back = add_action(
        "rollback", "put a superseded revision in force again, at all edges at once", changes=True
    )
    back.add_argument("revision", nargs="?", type=int, help="default: the one that was active before")
    secret = add_action("secret", "write a secret that documents name; list or delete secrets", changes=True)
    secret.add_argument("key", nargs="?", help="the secret; without it: list the secrets")
    secret.add_argument(
        "--value-file", type=Path, metavar="FILE", help="file with its value; - for standard input"
    )
    secret.add_argument("--delete", action="store_true")
    deleted = add_action("delete", "delete a service with its revisions and secrets", changes=True)
    deleted.add_argument("--yes", action="store_true", help="required: edges stop serving it at once")
    return parser


async def _run_action(client: "ServicesClient", options: argparse.Namespace) -> Any:
    from balancer.api.services import (
        ActivationRequest,
        RolloutAction,
        RolloutSteering,
        ServiceBody,
        ServiceRollback,
    )
    from sennit.service_edits import add_edited_revision, read_document_file
    from sennit.service_views import ServiceActivity

    name = getattr(options, "name", "")
    match options.action:
        case "list":
            return await client.services()
        case "top":
            totals, origins = await client.figure_totals(options.seconds), await client.origins()
            return ServiceActivity(**dict(totals), origins=origins.items)
        case "origins":
            return await client.origins(options.name)
        case "show" if options.revisions:
            return await client.revisions(name, 200)
        case "show":
            return await _show_service(client, name, options.revision)
        case "create":
            return await client.create_service(_checked_body(ServiceBody, name=name))
        case "edit":
            added = await add_edited_revision(client, options)
            if options.activate and added.state == "draft":
                return await client.activate_revision(name, ActivationRequest(revision=added.number))
            return await client.service(name) if options.activate else added
        case "validate":
            return await client.validate_document(name, read_document_file(options.file))
        case "diff" if options.file is not None:
            return (await client.validate_document(name, read_document_file(options.file))).changes
        case "diff":
            return (await client.compare_revisions(name, options.before, options.after)).changes
        case "apply":
            return await _apply_file(client, options)
        case "activate":
            number = options.revision or (await client.service(name)).newest
            if number is None:
                raise CommandError(f"{name} has no revision", hint=f"`sennit services edit {name}` adds one")
            body = _checked_body(ActivationRequest, revision=number, rollout=_read_plan(options))
            return await client.activate_revision(name, body)
        case "rollout" if options.steer is None:
            return await client.rollout(name)
        case "rollout":
            return await client.steer_rollout(name, RolloutSteering(action=RolloutAction(options.steer)))
        case "rollback":
            return await client.roll_back_service(
                name, _checked_body(ServiceRollback, revision=options.revision)
            )
        case "secret":
            return await _change_secret(client, options)
    if not options.yes:
        raise CommandError("--yes is missing", hint="edges stop serving it at once", status=ExitStatus.USAGE)
    await client.delete_service(name)
    return None


async def _apply_file(client: "ServicesClient", options: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from balancer.api.services import RolloutPlan
    from sennit.service_apply import apply_document, preview_document
    from sennit.service_edits import read_document_file
    from services.faults import list_faults

    document, plan = read_document_file(options.file), _read_plan(options)
    if not options.dry_run:
        checked_plan = _checked_body(RolloutPlan, **plan) if plan else None
        return await apply_document(client, options.name, document, checked_plan)
    try:
        return await preview_document(client, options.name, document)
    except ValidationError as error:
        faults = "\n".join(f"  {each.field}: {each.message}" for each in list_faults(error, document))
        raise CommandError(f"{options.file} has faults\n{faults}", status=ExitStatus.USAGE) from None


def _read_plan(options: argparse.Namespace) -> "dict[str, Any] | None":
    """Return the rollout that --stage describes."""
    stages = [_read_stage(text) for text in options.stage]
    return {"stages": stages, "dwell_seconds": options.dwell} if stages else None


def _read_stage(text: str) -> "dict[str, Any]":
    if not text.endswith("%"):
        return {"site": text}
    try:
        return {"share": float(text.removesuffix("%")) / 100}
    except ValueError:
        raise CommandError(f"--stage {text}: not a share", hint="10%", status=ExitStatus.USAGE) from None


async def _show_service(client: "ServicesClient", name: str, number: int | None) -> "ShownService":
    from sennit.service_views import ShownService

    service = await client.service(name)
    shown = number or service.active or service.newest
    revision = None if shown is None else await client.revision(name, shown)
    return ShownService(service=service, revision=revision, origins=(await client.origins(name)).items)


async def _change_secret(client: "ServicesClient", options: argparse.Namespace) -> Any:
    from balancer.api.services import SecretBody
    from sennit.service_edits import read_value_file

    if options.key is None:
        return (await client.secrets(options.name)).items
    if options.delete:
        return await client.delete_secret(options.name, options.key)
    if options.value_file is None:
        raise CommandError("--value-file is missing", hint="or --delete", status=ExitStatus.USAGE)
    value = read_value_file(options.value_file)
    return await client.put_secret(options.name, options.key, _checked_body(SecretBody, value=value))


def _checked_body(kind: Any, **fields: object) -> Any:
    from sennit.checked_bodies import make_body

    return make_body(kind, fields)


def _to_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    return None if value is None else value.model_dump(mode="json")
