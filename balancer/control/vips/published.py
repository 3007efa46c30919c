"""A stored VIP as an entry of the table."""

from balancer.control.storage.records import VipRecord
from node.vip import Locator, Replies, Vip


def vip_of(record: VipRecord) -> Vip:
    return Vip(
        record.name,
        record.v4,
        record.v6,
        record.service_port,
        Locator(record.locator),
        record.id_port_base,
        Replies(record.replies),
    )
