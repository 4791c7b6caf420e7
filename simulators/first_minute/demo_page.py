"""The page of ``ringpost demo``: camera, map, alerts, the count of what was lost, and what to do to it."""

from datetime import UTC, datetime
from functools import partial

from nicegui import background_tasks, ui

from console.agent_views import Counts, Now
from console.pages.cameras.tile import draw_camera
from console.pages.device import Device
from console.pages.frame import draw_frame
from console.web.session import Session
from console.web.theme import GREEN, GREY, RED, SEVERITY, STATE
from console.web.widgets.live import Live
from console.web.widgets.map import MapView
from console.web.widgets.map_objects import NAMED, RINGED, MapLine, MapObject, Scene, Symbol
from simulators.first_minute.demo_board import AlertLine, DemoBoard
from simulators.first_minute.demo_stage import TRICKS, DemoStage, Trick
from simulators.first_minute.rescue import ForcePosition, positions

CAMERA = "cam1"
EVERY_S = 0.5
SYMBOLS: dict[str, Symbol] = {"post": "person", "patrol_boat": "boat", "drone_ground_station": "drone"}


def build(demo: DemoStage, board: DemoBoard, device: Device, session: Session) -> None:
    """Draws the page."""
    ui.add_head_html('<link rel="stylesheet" href="/static/first_minute.css">')
    live, content = draw_frame(device, session, session.t("A device, and what can be done to it"))
    with content, ui.element("div").classes("rp-demo"):
        with ui.card().classes("rp-demo-camera"):
            _draw_camera(device, session, live)
        with ui.card().classes("rp-demo-map"):
            _draw_map(demo, board, session, live)
        _draw_tricks(demo, session)
        with ui.card().classes("rp-demo-counts"):
            _draw_counts(board, device, session, live)
        with ui.card().classes("rp-demo-alerts"):
            _draw_alerts(board, session, live)


def _draw_camera(device: Device, session: Session, live: Live) -> None:
    draw_camera(device, session, live, CAMERA)


def _draw_map(demo: DemoStage, board: DemoBoard, session: Session, live: Live) -> None:
    place = demo.stage.config["place"]
    lat, lon = float(place["lat"]), float(place["lon"])
    ui.label(session.t("The rescue: ways made up, ten times as fast; the alert that starts it is real"))
    view = MapView(session, (lat, lon), 15).classes("rp-demo-canvas").mark("demo-map")
    with ui.column().classes("rp-demo-forces"):
        lines = [ui.label().mark(f"force-{number}") for number in range(3)]

    def show() -> None:
        now = datetime.now(UTC)
        began = board.rescue_began_at
        forces = positions(lat, lon, None if began is None else began.timestamp(), now.timestamp())
        view.show(scene(demo.stage.device, board, (lat, lon), forces, now, session))
        for label, one in zip(lines, forces, strict=True):
            label.set_text(_force_text(one, began is not None, session))

    live.every(EVERY_S, show)


def scene(
    device: str,
    board: DemoBoard,
    place: tuple[float, float],
    forces: list[ForcePosition],
    now: datetime,
    session: Session,
) -> Scene:
    """The device, its alert and the forces on their ways."""
    state = board.state if board.state in ("online", "degraded", "offline", "stopped") else "unknown"
    objects = [MapObject(device, device, "post", state, *place, now, emphasis=NAMED)]  # type: ignore[arg-type]
    began = board.rescue_began_at is not None
    if began:
        objects.append(
            MapObject(
                "alert", session.t("person at the railing"), "alert", "critical", *place, now,
                error_m=8.0, emphasis=RINGED,
            )
        )  # fmt: skip
    for one in forces:
        name = session.t(one.force.name)
        objects.append(
            MapObject(
                one.force.name, name, SYMBOLS[one.force.kind], "online", one.lat, one.lon, now, emphasis=NAMED
            )
        )
    ways = tuple(
        MapLine(((one.lat, one.lon), place), dash=True) for one in forces if began and one.to_go_m > 1
    )
    return Scene(objects, now, ways)


def _force_text(one: ForcePosition, called: bool, session: Session) -> str:
    name = session.t(one.force.name)
    if called and one.to_go_m < 1:
        return session.t("{force}: there", force=name)
    minutes = one.remaining_s / 60
    distance = session.distance(one.to_go_m)
    return session.t(
        "{force}: {distance}, {minutes} min", force=name, distance=distance, minutes=f"{minutes:.1f}"
    )


def _draw_counts(board: DemoBoard, device: Device, session: Session, live: Live) -> None:
    names = ("raised", "committed", "waiting", "lost")
    ui.label(session.t("Alert messages: an alert has several, from new to end")).classes("text-caption")
    with ui.row().classes("w-full").props('role="status"'):
        figures = {}
        for name in names:
            with ui.column().classes("items-center rp-demo-figure"):
                figures[name] = ui.label("–").classes("text-h3").mark(f"count-{name}")
                ui.label(session.t(name))
        with ui.column():
            state = ui.chip().mark("demo-state")
            reasons = ui.label().classes("rp-demo-reasons")
            pushed = ui.label().classes("rp-demo-reasons").mark("demo-push")

    def show_counts(now: Now) -> None:
        counts: Counts = now["counts"]
        figures["raised"].set_text(str(counts["raised"]))
        figures["waiting"].set_text(str(counts["owed"]))
        figures["lost"].set_text(str(counts["lost"]))
        figures["lost"].style(f"color: {RED if counts['lost'] else GREEN}")

    def show_board() -> None:
        figures["committed"].set_text(str(board.committed))
        colour, icon = STATE.get(board.state, (GREY, "help"))
        state.set_text(session.t(board.state))
        state.props(f"icon={icon}").style(f"background: {colour} !important; color: #fff")
        reasons.set_text("; ".join(board.reasons))
        pushed.set_text(session.t("last push: {state}", state=board.pushed) if board.pushed else "")

    live.follow(lambda: device.client.now(1.0), show_counts)
    live.every(EVERY_S, show_board)


def _draw_tricks(demo: DemoStage, session: Session) -> None:
    with ui.element("div").classes("rp-demo-tricks"):
        for number, trick in enumerate(TRICKS):
            with ui.element("div"):
                button = ui.button(session.t(trick.name), icon=trick.icon).mark(f"trick-{number}")
                button.props("no-caps").classes("w-full")
                button.on_click(partial(_play, demo, trick, button))
                ui.label(session.t(trick.expect)).classes("text-caption")


def _play(demo: DemoStage, trick: Trick, button: ui.button) -> None:
    """Carries out a trick, whose button waits meanwhile. It goes on where the page is left."""

    async def carry_out() -> None:
        try:
            await trick.run(demo)
        finally:
            button.enable()
            button.props(remove="loading")

    button.disable()
    button.props("loading")
    background_tasks.create(carry_out(), name=trick.name)


def _draw_alerts(board: DemoBoard, session: Session, live: Live) -> None:
    ui.label(session.t("Alerts at the centre")).classes("text-h6").props('role="heading" aria-level="2"')
    table = ui.column().classes("w-full gap-1").mark("demo-alerts")
    drawn = -1

    def show() -> None:
        nonlocal drawn
        if drawn == board.number:
            return
        drawn = board.number
        table.clear()
        with table:
            for line in list(board.lines)[:12]:
                _draw_line(line, session)
            if not board.lines:
                ui.label(session.t("None yet: the man comes in a few seconds."))

    live.every(EVERY_S, show)


def _draw_line(line: AlertLine, session: Session) -> None:
    colour, icon = SEVERITY.get(line.severity, (GREY, "help"))
    with ui.row().classes("items-center no-wrap w-full"):
        ui.icon(icon).style(f"color: {colour}").props(f'aria-label="{session.t(line.severity)}"')
        ui.label(session.time(line.received_at))
        ui.label(session.t(line.phase)).classes("text-weight-bold")
        ui.label(line.text).classes("ellipsis")
        ui.space()
        if line.seconds is not None and line.phase == "new":
            ui.label(session.t("{seconds} s from frame to centre", seconds=f"{line.seconds:.2f}"))
