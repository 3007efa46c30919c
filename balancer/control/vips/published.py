"""A stored VIP as the table has it."""

from balancer.control.records import VipRecord
from balancer.model.table import Locator, Vip


def vip_of(record: VipRecord) -> Vip:
    locator = Locator(record.locator)
    return Vip(record.name, record.v4, record.v6, record.service_port, locator, record.id_port_base)
