"""The HTML of the login: no script, and nothing that is not escaped."""

from collections.abc import Mapping
from html import escape

from console.web.texts import LANGUAGES, Language, translated

HTML_LANG: Mapping[Language, str] = {"en": "en", "zh": "zh-CN"}


def login_page(
    title: str,
    language: Language,
    form_token: str,
    problem: str,
    values: Mapping[str, object],
    *,
    with_accounts: bool,
) -> str:
    """The form; ``problem`` is an English text with ``values`` in its ``{names}``."""

    def t(text: str) -> str:
        return escape(translated(text, language))

    told = escape(translated(problem, language).format(**values)) if problem else ""
    alert = f'<p class="problem" role="alert">{told}</p>' if told else ""
    form = (
        f"""<form method="post" action="/login">
<input type="hidden" name="form" value="{escape(form_token)}">
<label for="user">{t("Account")}</label>
<input id="user" name="user" autocomplete="username" autocapitalize="none" spellcheck="false" required
 maxlength="32" autofocus>
<label for="passphrase">{t("Passphrase")}</label>
<input id="passphrase" name="passphrase" type="password" autocomplete="current-password" required
 maxlength="256">
<button type="submit">{t("Log in")}</button>
</form>"""
        if with_accounts
        else f"<p>{t('Open the address that the terminal shows: it opens a session once.')}</p>"
    )
    others = " ".join(
        f'<a href="/login?language={code}" lang="{HTML_LANG[code]}" hreflang="{HTML_LANG[code]}">{name}</a>'
        for code, name in LANGUAGES.items()
        if code != language
    )
    return _document(
        language, f"{t('Log in')} · {escape(title)}",
        f'<main><h1>{escape(title)}</h1>{alert}{form}<p class="languages">{others}</p></main>',
    )  # fmt: skip


def opening_page(language: Language) -> str:
    """Goes on to the first page at once."""
    go = escape(translated("Open the page", language))
    return _document(
        language, "ringpost", f'<main><p><a href="/">{go}</a></p></main>',
        '<meta http-equiv="refresh" content="0;url=/">',
    )  # fmt: skip


def _document(language: Language, title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="{HTML_LANG[language]}"><head><meta charset="utf-8">{head}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="/static/login.css">'
        f"<title>{title}</title></head><body>{body}</body></html>"
    )
