"""What people are told: each fact once, from `new` to `end`, and each press at all. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from simulators.checker.finding import Finding
from simulators.checker.history import Device, History, Period
from simulators.run_record import Fields

Subject: TypeAlias = tuple[str, ...]
SUBJECT = ("rule", "camera", "source", "zone", "label")
"""Fields of an alert that say what it is about; with ``since`` they name one fact."""
LOSING = (
    "broker.drop_after_acknowledgement", "broker.quota", "broker.session_lost", "centre.restored_from_backup",
)  # fmt: skip
"""Faults after which a message is sent again behind those that followed it."""
ACKNOWLEDGED_S = 0.5
"""A press that reached the device has been acknowledged after this long, where the device lives."""
BOARD_KEEPS_S = 60.0
"""A board that restarts loses the presses of about this long that it has not got across."""


def phases_are_in_order(history: History) -> Iterator[Finding]:
    """An alert begins with ``new``, once, and nothing follows its ``end``; a drill has one message. So the
    device has accepted them, and so they arrive, unless the broker loses or refuses messages."""
    in_order = not any(one.kind in LOSING for one in history.faults)
    for device in history.devices.values():
        some_lost = any(body.get("gap", {}).get("lane") == "alert" for _, body in device.sent("gap"))
        arrived: dict[str, tuple[float, str, str]] = {}
        for t, body in device.sent("alert"):
            alert = body.get("alert", {})
            told = t, str(alert.get("alert_id")), str(alert.get("phase"))
            arrived.setdefault(str(body.get("id")), told)  # a repeat says nothing new
        accepted = {
            one["id"]: (one["t"], str(one.get("alert_id")), str(one.get("phase"))) for one in device.accepted
        }
        in_memory = {alert_id for one, (_, alert_id, _) in arrived.items() if one not in accepted}
        accepted = {one: told for one, told in accepted.items() if told[1] not in in_memory}
        for of_device, messages in ((True, accepted), (False, arrived)):
            phases: dict[str, list[tuple[float, str]]] = defaultdict(list)
            for t, alert_id, phase in messages.values():
                phases[alert_id].append((t, phase))
            for alert_id, found in phases.items():
                wrong = _wrong([phase for _, phase in found], lost=some_lost)
                if wrong and (of_device or (in_order and not _forgets(device))):
                    what = "was accepted as" if of_device else "arrived as"
                    text = f"alert {alert_id} {what} {', '.join(phase for _, phase in found)}: {wrong}"
                    yield Finding("phases_are_in_order", device.name, text, found[-1][0])


def _wrong(phases: list[str], *, lost: bool) -> str | None:
    if phases == ["drill"]:
        return None
    if phases[0] != "new" and not lost:
        return "it does not begin with new"
    if phases.count("new") > 1:
        return "it began twice"
    if "new" in phases[1:]:
        return "new is not the first"
    if "end" in phases[:-1]:
        return "something follows its end"
    if unknown := set(phases) - {"new", "update", "end"}:
        return f"unknown phase {', '.join(sorted(unknown))}"
    return None


def one_fact_one_alert(history: History) -> Iterator[Finding]:
    """A fact (rule, place and subject, beginning) is told under one alert id; and one press of a switch under
    one at most."""
    for device in history.devices.values():
        ids: dict[Subject, dict[str, float]] = defaultdict(dict)
        for t, alert in _alerts(device, "new"):
            if alert.get("kind") == "switch":
                continue  # several presses may reach the device at one instant
            fact = (*(str(alert.get(field)) for field in SUBJECT), str(alert.get("since")), _box(alert))
            ids[fact].setdefault(str(alert.get("alert_id")), t)
        for fact, found in ids.items():
            if len(found) > 1:
                text = f"{fact[0]} since {fact[-2]} was told under {', '.join(found)}"
                yield Finding("one_fact_one_alert", device.name, text, max(found.values()))
        yield from _told_twice(device)


def _box(alert: Mapping[str, Any]) -> str:
    """Two people in one zone are two facts, and so are two vessels."""
    return f"{alert.get('box')} {alert.get('text')}"


def _forgets(device: Device) -> bool:
    """Whether it was restarted after its disk had refused writes: it then repeats what it did not keep."""
    disk = [one.begin_s for one in device.faults if one.kind.startswith("disk.")]
    return any(gone.end_s >= min(disk) for gone in device.absences) if disk else False


def _cut_short(device: Device, presses: Sequence[float]) -> int:
    """How often the device died so soon after a press, or after its start with a press that had waited, that
    the board may not have had its acknowledgement: it then presses again."""
    begun = [*presses, *(one.end_s for one in device.absences)]
    return sum(any(0 <= gone.begin_s - t <= ACKNOWLEDGED_S for t in begun) for gone in device.absences)


def _told_twice(device: Device) -> Iterator[Finding]:
    if _forgets(device):
        return
    for rule, source, switch in _switches(device):
        presses = [one["t"] for one in _presses(device, source, switch)]
        news = {
            str(alert.get("alert_id")): t for t, alert in _alerts(device, "new") if alert.get("rule") == rule
        }
        if len(news) > len(presses) + _pushes(device) + _cut_short(device, presses):
            text = (
                f"{len(presses)} presses of {source}.{switch} were told under {len(news)} alert ids of {rule}"
            )
            yield Finding("one_fact_one_alert", device.name, text, max(news.values()))


def presses_raise_alerts(history: History) -> Iterator[Finding]:
    """Each press of a switch that a rule watches raises an alert, or falls into one that is active; judged
    once all faults have ended for as long as the limits say."""
    for device in history.devices.values():
        if history.end_s < history.healed_s + history.limits.settle_s or _pushes(device):
            continue  # a push may change the rule
        resets = [one for one in device.faults if one.kind in ("board.reset", "board.deaf")]
        for rule, source, switch in _switches(device):
            alerts = sorted(_active(device, rule))
            for press in _presses(device, source, switch):
                pressed_s = press["t"]
                if any(one.begin_s - BOARD_KEEPS_S <= pressed_s <= one.end_s for one in resets):
                    continue
                if any(one.begin_s <= pressed_s <= one.end_s for one in alerts):
                    continue
                later = next((one for one in alerts if one.begin_s >= pressed_s), None)
                if later is not None:
                    alerts.remove(later)  # another press needs another alert
                    continue
                if history.end_s - pressed_s >= history.limits.settle_s:
                    text = f"{source}.{switch} was pressed, and no alert of {rule} says so"
                    yield Finding("presses_raise_alerts", device.name, text, pressed_s)


def _active(device: Device, rule: str) -> list[Period]:
    """From the first to the last word of each alert of ``rule``."""
    found: dict[str, Period] = {}
    for t, body in device.sent("alert"):
        alert = body.get("alert", {})
        if alert.get("rule") == rule and alert.get("phase") in ("new", "update", "end"):
            identity = str(alert.get("alert_id"))
            begun = found.get(identity, Period(t, t, rule))
            found[identity] = begun._replace(end_s=max(begun.end_s, t))
    return list(found.values())


def _alerts(device: Device, phase: str) -> Iterator[tuple[float, Fields]]:
    for t, body in device.sent("alert"):
        alert = body.get("alert", {})
        if alert.get("phase") == phase:
            yield t, alert


def _switches(device: Device) -> Iterator[tuple[str, str, str]]:
    """(rule, source, switch) of each rule that a press makes true at once, whatever the hour."""
    for name, rule in device.config.get("rules", {}).items():
        plain = rule.get("on", True) is True and not {"hold", "schedule"} & rule.keys()
        if rule.get("kind") == "switch" and plain:
            yield name, str(rule["source"]), str(rule["name"])


def _presses(device: Device, source: str, switch: str) -> Iterator[Fields]:
    for one in device.happened("pressed"):
        if one.get("press") == f"{source}.{switch}":
            yield one


def _pushes(device: Device) -> int:
    """A push may take a rule away and bring it back while its switch is held."""
    return sum(1 for _ in device.happened("pushed"))
