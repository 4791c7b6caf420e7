"""Words of the map in the language of a session."""

import re
from datetime import datetime

from console.web.session import Session


def kinds(session: Session) -> dict[str, str]:
    """Words for the kinds of alerts, and for alerts that are none."""
    t = session.t
    return {
        "person_in_water": t("person in the water"),
        "beyond_railing": t("beyond the railing"),
        "zone_enter": t("zone entered"),
        "zone_dwell": t("stays in a zone"),
        "line_cross": t("line crossed"),
        "wrong_way": t("wrong way"),
        "occupancy": t("crowd"),
        "count": t("count"),
        "stationary": t("left standing"),
        "moved": t("moved"),
        "switch": t("panic button"),
        "threshold": t("limit exceeded"),
        "vessel_adrift": t("vessel adrift"),
        "vessel_close": t("vessel too close"),
        "distress_beacon": t("distress beacon"),
        "geofence": t("area left"),
        "route": t("off its route"),
        "on_post": t("not on post"),
        "presence": t("presence"),
        "silence": t("source silent"),
        "blind": t("camera blind"),
        "interference": t("GNSS disturbed"),
        "drone_battery": t("drone battery low"),
        "drone_lost": t("drone lost"),
        "drill": t("drill"),
        "simulated": t("simulated"),
        "historical": t("late"),
    }


def device_kinds(session: Session) -> dict[str, str]:
    """Words for the kinds of devices."""
    t = session.t
    return {
        "checkpoint_camera": t("checkpoint camera"),
        "patrol_boat": t("patrol boat"),
        "drone_ground_station": t("drone station"),
        "metro_post": t("metro post"),
        "watch_point": t("watch point"),
    }


def places(session: Session) -> dict[str, str]:
    """Words for rings and domains."""
    t = session.t
    return {
        "perimeter": t("perimeter"),
        "ring_road": t("ring road"),
        "inner_city": t("inner city"),
        "ground": t("ground"),
        "underground": t("underground"),
        "air": t("air"),
        "water": t("water"),
        "between": t("between"),
    }


def links(session: Session) -> dict[str, str]:
    """Words for states of devices."""
    t = session.t
    return {
        "online": t("online"),
        "degraded": t("degraded"),
        "silent": t("silent"),
        "offline": t("offline"),
        "stopped": t("stopped"),
        "unknown": t("unknown"),
        "stale": t("stale position"),
    }


def severities(session: Session) -> dict[str, str]:
    """Words for severities."""
    t = session.t
    return {"critical": t("critical"), "warning": t("warning"), "info": t("information")}


def second_look(session: Session, verdict: bool | str) -> str:
    """The verdict of a device's second look."""
    t = session.t
    if isinstance(verdict, bool):
        return t("verified it") if verdict else t("did not verify it")
    return t("not in time")


def problem(session: Session, unread: str, silence_s: float | None, newest: datetime) -> str:
    """Why the map may lack what happens now; empty while all is well. ``unread``: why nothing is read."""
    t = session.t
    if unread:
        return t("The database is not read, all here is old: {why}", why=unread)
    if silence_s is None:
        return ""
    if silence_s < 0:
        return t(
            "The clocks of the centre and of this map are {n} s apart: ages here are wrong.",
            n=round(-silence_s),
        )
    return t(
        "The centre has stored nothing since {at} ({age}): it, its broker, the network or all devices "
        "are silent. New alerts may not be seen here.",
        at=clock(session, newest), age=age(session, silence_s),
    )  # fmt: skip


def why_left_out(session: Session, why: str) -> str:
    """Why a force can't go: the words of `centre.map.nearest`, with their number."""
    t = session.t
    known = {
        "silent for {n} s": t("silent for {n} s", n="{n}"),
        "position is {n} s old": t("position is {n} s old", n="{n}"),
        "the alert is {n} m from the water": t("the alert is {n} m from the water", n="{n}"),
        "{n} m from a river that the map knows": t("{n} m from a river that the map knows", n="{n}"),
        "never heard of": t("never heard of"),
        "no position": t("no position"),
        "does not move": t("does not move"),
        "no water leads there": t("no water leads there"),
        "offline": t("offline"),
        "stopped": t("stopped"),
        "position is doubtful": t("position is doubtful"),
    }
    found = re.search(r"\d+", why)
    number = "" if found is None else found[0]
    text = known.get(re.sub(r"\d+", "{n}", why, count=1))
    return why if text is None else text.replace("{n}", number)


def age(session: Session, seconds: float) -> str:
    """How long ago, in steps that change seldom."""
    if seconds < 60:
        return session.t("{n} s", n=int(seconds // 5 * 5))
    if seconds < 5400:
        return session.t("{n} min", n=int(seconds // 60))
    return session.t("{n} h", n=int(seconds // 3600))


def minutes(session: Session, seconds: float) -> str:
    """A travel time."""
    if seconds < 60:
        return session.t("{n} s", n=max(1, round(seconds)))
    return session.t("{n} min", n=f"{seconds / 60:.1f}" if seconds < 600 else round(seconds / 60))


def clock(session: Session, at: datetime) -> str:
    """Day and time, for instants that may be of yesterday."""
    return at.astimezone(session.zone).strftime("%m-%d %H:%M:%S")
