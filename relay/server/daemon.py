"""The relay's daemon: rules, interface and peers in force, until it is stopped."""

import logging
import signal
import threading
from pathlib import Path

from relay.configuration import RelayIdentity
from relay.host_network import bring_up, open_netlink
from relay.server.firewall import install_rules, remove_rules
from relay.server.peers import PeersInvalid, RelayDescription, RelayState, relay_addresses
from relay.server.settings import RelaySettings
from relay.wireguard.device import DeviceChange, WireguardUnavailable, compare_peers
from relay.wireguard.interface import create_device, has_interface, remove_device
from relay.wireguard.keys import derive_public_key
from runtime.logging import report_ready
from runtime.systemd import Watchdog, notify_systemd

log = logging.getLogger("relay.server")

INTERVAL = 1.0  # seconds between looks at the peers' file and the interface
FORWARDING = {4: Path("/proc/sys/net/ipv4/ip_forward"), 6: Path("/proc/sys/net/ipv6/conf/all/forwarding")}


class RelayDaemon:
    """Keeps a relay in force; `run` returns after SIGTERM or SIGINT, when nothing of it is left."""

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._state = RelayState(settings.state)
        self._stopped = threading.Event()
        self._applied: tuple[int, int] | str | None = "nothing"
        self._private_key = b""

    def run(self) -> None:
        """Raises `WireguardUnavailable` and `PeersInvalid` if it cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        self.start()
        report_ready()
        watchdog = Watchdog()
        while not self._stopped.wait(INTERVAL):
            watchdog.feed()
            try:
                self.check()
            except (WireguardUnavailable, PeersInvalid) as error:
                log.error("relay is not as it should be: %s", error)
        notify_systemd("STOPPING=1")
        self.stop()

    def start(self) -> None:
        """Put rules, interface and peers in force. Raises as `run`."""
        settings = self._settings
        self._require_forwarding()
        self._private_key = self._state.load_private_key()
        identity = RelayIdentity(
            settings.name,
            settings.endpoints,
            derive_public_key(self._private_key),
            settings.prefix,
            settings.resolver,
            tuple(each.partition("/")[0] for each in relay_addresses(settings.network)),
            settings.mtu,
        )
        description = RelayDescription(settings.interface, identity, settings.network, settings.max_peers)
        self._state.read_peers()  # an error before anything is changed
        install_rules(settings)
        self._state.write_description(description)
        self._make_interface()

    def check(self) -> None:
        """Make the interface again if it is gone, and apply changed peers. Raises as `run`."""
        if not has_interface(self._settings.interface):
            log.warning("interface %s is gone, making it again", self._settings.interface)
            self._make_interface()
        elif self._state.peers_version() != self._applied:
            self._apply_peers()

    def stop(self) -> None:
        """Remove the interface, then the rules. Raises `WireguardUnavailable`."""
        remove_device(self._settings.interface)
        remove_rules()

    def _make_interface(self) -> None:
        name, port = self._settings.interface, self._settings.listen_port
        device = create_device(name)
        device.apply_change(DeviceChange(private_key=self._private_key, listen_port=port))
        with open_netlink(f"{name} cannot be set up") as ipr:
            bring_up(ipr, name, relay_addresses(self._settings.network), self._settings.mtu)
        log.info("interface %s is up, WireGuard of %s, UDP port %d", name, device.implementation, port)
        self._apply_peers()

    def _apply_peers(self) -> None:
        version = self._state.peers_version()
        peers = self._state.read_peers()
        device = create_device(self._settings.interface)
        change = compare_peers(device.read_status(), [peer.as_wireguard() for peer in peers])
        device.apply_change(change)
        self._applied = version
        log.info(
            "peers applied: %d, %d new or changed, %d removed",
            len(peers),
            len(change.set_peers),
            len(change.remove_peers),
        )

    def _require_forwarding(self) -> None:
        """Raise `WireguardUnavailable` where the host does not forward a family of the tunnels."""
        for network in self._settings.network:
            version = 6 if ":" in network else 4
            try:
                forwards = FORWARDING[version].read_text().strip() == "1"
            except OSError:
                forwards = False
            if not forwards:
                key = {4: "net.ipv4.ip_forward=1", 6: "net.ipv6.conf.all.forwarding=1"}[version]
                hint = f"`sysctl -w {key}`, and in /etc/sysctl.d"
                if version == 6:
                    hint += "; where the uplink learns its route from router advertisements, its accept_ra=2 first"
                raise WireguardUnavailable(f"this host does not forward IPv{version}", hint)
