"""The dialog in which a person brings a signing key: a PEM file and its passphrase, for this session only."""

from nicegui import events, ui

from agent.trust.signing_key import MAX_KEY_BYTES, PassphraseNeededError
from console.session_signer import SessionSigner, describe_key_error, key_ids
from console.web.session import Session

KEPT = "The key stays in the memory of this session, and is forgotten when you log out. It is never stored."


async def choose_key(session: Session) -> bool:
    """Asks for the key; whether the session has one now."""
    t = session.t
    found: dict[str, bytes] = {}
    with ui.dialog() as dialog, ui.card().classes("rp-dialog"):
        ui.label(t("Signing key")).classes("text-h6").props("role=heading aria-level=2")
        ui.label(t(KEPT))
        problem = ui.label().classes("rp-bad").props('role="alert"').mark("key-problem")
        problem.set_visibility(False)

        async def take(event: events.UploadEventArguments) -> None:
            found["pem"] = await event.file.read()
            found["name"] = event.file.name.encode()
            await try_key()

        async def try_key() -> None:
            if "pem" not in found:
                return tell(t("Choose the file first"))
            name = found["name"].decode(errors="replace")[:80]
            try:
                session.signer = SessionSigner.from_pem(found["pem"], phrase.value or None, name)
            except PassphraseNeededError:
                phrase.set_visibility(True)
                return tell(t("The file is encrypted: enter its passphrase"))
            except ValueError as error:
                return tell(describe_key_error(error))
            finally:
                phrase.set_value("")
            dialog.submit(True)
            return None

        def tell(text: str) -> None:
            problem.set_text(text)
            problem.set_visibility(True)

        ui.upload(
            label=t("Key file (PEM)"), max_file_size=MAX_KEY_BYTES, max_files=1, auto_upload=True,
            on_upload=take, on_rejected=lambda: tell(t("That file is too large to be a key")),
        ).props('accept=".pem" flat bordered').mark("key-file")  # fmt: skip
        phrase = ui.input(t("Passphrase"), password=True).props("autocomplete=off").mark("key-passphrase")
        phrase.on("keydown.enter", try_key)
        phrase.set_visibility(False)
        with ui.row().classes("justify-end"):
            ui.button(t("Cancel"), on_click=lambda: dialog.submit(False)).props("flat").mark("key-cancel")
            ui.button(t("Use this key"), on_click=try_key).mark("key-use")
    chosen = bool(await dialog)
    dialog.clear()
    dialog.delete()
    if chosen:
        session.note("key", who=key_ids(session.signer))
        ui.notify(t("Orders are signed with key {key}", key=", ".join(key_ids(session.signer))))
    return chosen
