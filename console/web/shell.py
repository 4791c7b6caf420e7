"""What is around each page: title, navigation, settings, key, log out. Plain HTML elements and forms, so that
they need none of NiceGUI's scripts beyond its first drawing."""

from collections.abc import Mapping

from nicegui import ui

from console.session_signer import key_ids
from console.web.key_dialog import choose_key
from console.web.session import Session
from console.web.site import Page, Site
from console.web.texts import LANGUAGES
from console.web.units import UNITS

STYLES = ("console", "picture")
"""Our style sheets, below ``console/web/static``."""
HEAD = (
    '<meta name="color-scheme" content="light dark"><script src="/static/shortcuts.js" defer></script>'
    '<script src="/static/alive.js" defer></script>'
    + "".join(f'<link rel="stylesheet" href="/static/{name}.css">' for name in STYLES)
)
SHORTCUTS = (("?", "Show these keys"), ("Esc", "Close"))


def draw_shell(site: Site, page: Page, session: Session) -> None:
    """Draws header and navigation, then the content of ``page``."""
    ui.add_head_html(HEAD)
    ui.dark_mode(session.dark)
    _text("a", session.t("Skip to the content"), "rp-skip", href="#main")
    with ui.element("header").classes("rp-header"):
        _text("span", site.heading_now(), "rp-site").mark("site-title")
        with ui.element("nav").classes("rp-navigation") as navigation:
            navigation.props["aria-label"] = session.t("Pages")
            for number, other in enumerate(site.pages, 1):
                _draw_link(session, other, number, current=other.path == page.path)
        with ui.element("div").classes("rp-tools"):
            _draw_key(site, session)
            _draw_settings(page, session)
            with _form("/logout", session), ui.element("button").classes("rp-tool") as button:
                button.props.update({"type": "submit", "aria-label": session.t("Log out")})
                button.mark("logout")
                _icon("logout")
    away = session.t("The server of this page has not answered for {n} s: what is shown is old.", n="{n}")
    _text("div", "", "rp-no-server", id="rp-no-server", hidden="", role="alert", **{"data-text": away}).mark(
        "no-server"
    )
    with ui.element("main").classes("rp-content") as main:
        main.props.update({"id": "main", "tabindex": "-1"})
        page.build(session)
    _draw_help(site, page, session)


def _draw_link(session: Session, page: Page, number: int, *, current: bool) -> None:
    with ui.element("a").classes("rp-link") as link:
        link.props["href"] = page.path
        link.props["data-key"] = str(number)
        if current:
            link.props["aria-current"] = "page"
        link.mark(f"to-{page.path.strip('/') or 'now'}")
        _icon(page.icon)
        _text("span", session.t(page.name), "rp-link-text")


def _draw_key(site: Site, session: Session) -> None:
    """The key that signs orders: its id and roles, and a way to bring one."""
    with ui.element("button").classes("rp-tool rp-key") as button:
        button.props.update({"type": "button", "aria-haspopup": "dialog"})
        button.mark("key")
        _icon("key")
        label = ui.label().classes("rp-key-text")

    def show() -> None:
        ids = key_ids(session.signer)
        roles = [session.t(role) for role in site.key_roles(ids)] if ids else []
        text = ", ".join(one[:8] for one in ids) if ids else session.t("No key")
        label.set_text(f"{text} ({', '.join(roles)})" if roles else text)
        button.props["aria-label"] = f"{session.t('Signing key')}: {label.text}"
        button.update()

    async def choose() -> None:
        if await choose_key(session):
            show()

    button.on("click", choose)
    show()


def _draw_settings(page: Page, session: Session) -> None:
    t = session.t
    zone = "utc" if session.zone is not session.place_zone else "place"
    theme = {None: "auto", True: "dark", False: "light"}[session.dark]
    with ui.element("details").classes("rp-settings"):
        with ui.element("summary").classes("rp-tool") as summary:
            summary.props["aria-label"] = t("Settings")
            summary.mark("settings")
            _icon("settings")
        with _form("/settings", session).classes("rp-settings-form"):
            _hidden("back", page.path)
            _select(
                "language",
                "Language · 语言",
                {str(code): name for code, name in LANGUAGES.items()},
                session.language,
            )
            _select(
                "theme",
                t("Colours"),
                {"auto": t("As the browser"), "light": t("Light"), "dark": t("Dark")},
                theme,
            )
            _select("units", t("Units"), {name: t(text) for name, text in UNITS.items()}, session.units)
            _select(
                "zone",
                t("Times"),
                {"place": f"{t('Of the place')} ({session.place_zone})", "utc": "UTC"},
                zone,
            )
            _text("button", t("Apply"), "rp-apply", type="submit").mark("apply-settings")


def _draw_help(site: Site, page: Page, session: Session) -> None:
    """The keys, in a dialog that the browser opens by itself."""
    with ui.element("dialog").classes("rp-help") as dialog:
        dialog.props.update({"id": "rp-help", "aria-label": session.t("Keys")})
        _text("h2", session.t("Keys"), "rp-help-title")
        with ui.element("dl"):
            pages = ((str(number), session.t(page.name)) for number, page in enumerate(site.pages, 1))
            for key, words in (*pages, *((key, session.t(text)) for key, text in (*page.keys, *SHORTCUTS))):
                with ui.element("dt"):
                    _text("kbd", key, "")
                _text("dd", words, "")
        with ui.element("form").props("method=dialog"):
            _text("button", session.t("Close"), "rp-apply", type="submit")


def _form(action: str, session: Session) -> ui.element:
    form = ui.element("form")
    form.props.update({"method": "post", "action": action})
    with form:
        _hidden("form", session.form_token)
    return form


def _hidden(name: str, value: str) -> None:
    ui.element("input").props.update({"type": "hidden", "name": name, "value": value})


def _select(name: str, label: str, choices: Mapping[str, str], chosen: str) -> None:
    with ui.element("label").classes("rp-field"):
        _text("span", label, "")
        with ui.element("select") as select:
            select.props["name"] = name
            select.mark(f"setting-{name}")
            for value, text in choices.items():
                option = _text("option", text, "", value=value)
                if value == chosen:
                    option.props["selected"] = True


def _icon(name: str) -> None:
    icon = ui.icon(name)
    icon.props["aria-hidden"] = "true"


def _text(tag: str, text: str, classes: str, **props: str) -> ui.label:
    """An element that holds plain text."""
    element = ui.label(text).classes(classes)
    element.tag = tag
    element.props.update(props)
    return element
