"""One force: where it is, how well it is, what it does not see."""

from datetime import datetime

from nicegui import ui

from centre.map import words
from centre.map.city import City
from centre.map.pages.view import View
from console.web.session import Session


class ForcePanel:
    """Draws the selected force of a `View`; nothing where none is."""

    def __init__(self, city: City, session: Session, view: View) -> None:
        self._session, self._view = session, view
        self._drawn: tuple[tuple[str, str], ...] = ()
        self._box = ui.element("div").classes("rm-facts").mark("force-detail")
        self.update(city.now())

    def update(self, now: datetime) -> None:
        """Shows the force as it is."""
        facts = self._facts(self._view.instant(now))
        if facts == self._drawn:
            return
        self._drawn = facts
        self._box.clear()
        with self._box:
            for name, value in facts:
                with ui.element("div").classes("rm-fact"):
                    ui.label(name).classes("rm-fact-name")
                    ui.label(value).classes("rm-fact-value")

    def _facts(self, now: datetime) -> tuple[tuple[str, str], ...]:
        view, session, t = self._view, self._session, self._session.t
        force = None if view.device is None else view.situation.forces.get(view.device)
        if force is None:
            return ()
        link = words.links(session)[force.link(now)]
        reasons = f": {'; '.join(force.reasons)}" if force.reasons else ""
        places = words.places(session)
        where = [
            places.get(force.ring, force.ring),
            places.get(force.domain, force.domain),
            force.site,
            force.post,
        ]
        facts = [
            (t("Force"), f"{force.device} · {words.device_kinds(session).get(force.kind, force.kind)}"),
            (t("State"), link + reasons),
            (t("Belongs to"), " · ".join(part for part in (*where, force.unit) if part)),
        ]
        if force.position is not None:
            position = force.position
            error = "" if position.error_m is None else f" ± {session.distance(position.error_m)}"
            age = words.age(session, position.age_s(now))
            stale = f" · {t('stale position')}" if force.stale(now) else ""
            facts.append((t("Position"), f"{position.lat:.5f} {position.lon:.5f}{error} · {age}{stale}"))
            if position.speed_mps is not None:
                facts.append((t("Speed"), session.speed(position.speed_mps)))
        elif force.place is not None:
            facts.append((t("Position"), f"{force.place[0]:.5f} {force.place[1]:.5f} · {t('surveyed')}"))
        else:
            facts.append((t("Position"), t("unknown")))
        facts += [(t("Blind"), f"{one.camera} {one.zone}: {one.why}") for one in force.blind[:6]]
        if force.in_rescue_mode(now) and force.rescue_until is not None:
            facts.append(
                (t("Rescue mode"), f"{t('until')} {session.time(force.rescue_until)} {force.rescue_reason}")
            )
        return tuple(facts)
