"""What is asked of a machine that the playbooks have made: its daemons, their rights, the order in which they end."""

import json

from machine import Machine

DAEMONS = ("control", "origin", "agent", "forwarder", "edge")  # and "probe", with sennit_probes
NET_ADMIN = 1 << 12


def failed_units(machine: Machine) -> str:
    """What systemd says of units that failed: nothing where there are none."""
    return machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout


def state_of(machine: Machine, daemon: str) -> set[str]:
    """Whether it runs, how often it started again, and as whom."""
    wanted = ("-p", "ActiveState", "-p", "NRestarts", "-p", "User")
    return set(machine.run("systemctl", "show", f"sennit-{daemon}", *wanted).stdout.split())


def holds_net_admin(machine: Machine, unit: str) -> bool:
    """Whether the main process of a unit may ever use CAP_NET_ADMIN."""
    process = f"$(systemctl show -p MainPID --value {unit})"
    status = machine.run("sh", "-c", f"cat /proc/{process}/status").stdout
    permitted = next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:"))
    return bool(int(permitted, 16) & NET_ADMIN)


def stop_agent_and_edge(machine: Machine) -> list[tuple[str, str]]:
    """Stop both at once; return what systemd said of which unit, in order."""
    begun = machine.run("date", "+%s").stdout.strip()
    machine.run("systemctl", "stop", "sennit-agent", "sennit-edge")  # a job each: the second has to wait
    said = machine.run(
        *("journalctl", "-u", "sennit-agent", "-u", "sennit-edge", "-o", "json"),
        *("--output-fields=MESSAGE,UNIT", "_PID=1", "--since", f"@{begun}"),
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    return [(line.get("UNIT", ""), line["MESSAGE"].split()[0]) for line in lines]
