"""What an agent writes into its audit log, beside what `order_gate` and `PictureRelease` write."""

from collections.abc import Callable
from hashlib import sha256

from agent.control.drill import Drill
from agent.control.order_gate import OrderGate
from agent.mqtt.broker import Broker
from agent.mqtt.fallback_notifier import FallbackNotifier
from agent.mqtt.link import Link
from agent.mqtt.peer import Peer
from agent.outbox.rows import Row
from agent.reporting.audit_sender import AuditSender


def recipients(link: Link, broker: Broker) -> Callable[[], dict[str, list[str]]]:
    """For the entry of a picture: the broker that is connected now, if any, and those that it may go to."""
    brokers = [one.url for one in broker.in_order]
    return lambda: {"to": [link.connected_url] if link.connected_url else [], "brokers": brokers}


def attach_audit(
    sender: AuditSender, link: Link, fallback_notifier: FallbackNotifier, gate: OrderGate, drill: Drill
) -> None:
    """Lets the parts of an agent write into its audit log."""
    audit = sender.log

    def login(connection: str) -> Callable[[Broker, Peer], None]:
        return lambda broker, peer: audit.append(
            "broker_login", broker=broker.url, connection=connection, **peer
        )

    def picture_left(row: Row, broker: Broker, peer: Peer) -> None:
        digest = sha256(row.body).hexdigest()
        audit.append("picture_left", topic=row.topic, sha256=digest, broker=broker.url, **peer)

    link.events.on_login = login("link")
    link.events.on_picture = picture_left
    fallback_notifier.events.on_login = login("fallback")
    link.receipts.on_checkpoint = sender.on_countersigned
    link.receipts.on_refused = lambda reason: audit.append("refused", order="receipt", reason=reason)
    gate.audit = drill.audit = audit
