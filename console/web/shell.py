"""What is around each page: title, navigation, language, dark or light, log out."""

from nicegui import ui

from console.web.session import Session
from console.web.site import Page, Site
from console.web.texts import LANGUAGES, Language


def draw_shell(site: Site, page: Page, session: Session) -> None:
    """Draws header and navigation, then the content of ``page``."""
    dark = ui.dark_mode(session.dark)
    with ui.header().classes("items-center rp-header"):
        ui.label(site.title).classes("text-subtitle1 ellipsis").mark("site-title")
        with ui.row().classes("rp-navigation"):
            for other in site.pages:
                link = ui.link(session.t(other.name), other.path).mark(f"to-{other.path.strip('/') or 'now'}")
                link.classes("rp-active" if other is page else "").props(
                    'aria-current="page"' if other is page else ""
                )
        ui.space()

        def set_language(language: Language) -> None:
            session.language = language
            ui.navigate.reload()

        def toggle_dark() -> None:
            session.dark = not session.dark
            dark.set_value(session.dark)

        ui.select(
            dict(LANGUAGES), value=session.language, on_change=lambda event: set_language(event.value)
        ).props(f'dense options-dense dark aria-label="{session.t("Language")}"').mark("language")
        ui.button(icon="contrast", on_click=toggle_dark).props(
            f'flat round color=white aria-label="{session.t("Dark")}"'
        ).mark("dark")
        ui.button(icon="logout", on_click=lambda: ui.navigate.to("/logout")).props(
            f'flat round color=white aria-label="{session.t("Log out")}"'
        ).mark("logout")
    with ui.column().classes("rp-content"):
        page.build(session)
