"""The page *Configuration* in a real browser, with a real agent, broker and centre."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.rig import browser_page, needs_chromium
from tests.browser.stand import Stand, stand
from tests.thorough import only_long

pytestmark = [pytest.mark.end_to_end, needs_chromium]
MS = 30_000


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    def commented(text: str) -> str:
        return text.replace("rules:\n", "# the button is under the desk\nrules:\n", 1)

    with stand(tmp_path_factory.mktemp("configuration"), None, commented) as made:
        yield made


@pytest.fixture(scope="module")
def page(device: Stand) -> Iterator[Any]:
    with browser_page() as opened:
        opened.set_default_timeout(MS)
        opened.goto(device.token_url)
        opened.wait_for_url(f"{device.base}/")
        yield opened


@pytest.fixture
def open_page(page: Any, device: Stand) -> Any:
    """The page with nothing changed in it."""
    page.goto(f"{device.base}/configuration")
    page.get_by_text("In force: ").wait_for()
    discard = page.get_by_test_id("discard")
    page.wait_for_timeout(500)
    if discard.is_visible():
        discard.click()
    page.get_by_test_id("panel-rules.quiet").wait_for()
    page.get_by_text("The text is as in force.").wait_for()
    return page


def field(page: Any, path: str) -> Any:
    """The input of a field; its panel is opened first."""
    steps = path.split(".")
    panel = page.get_by_test_id("panel-" + ".".join(steps[: 2 if steps[0] in ("sources", "rules") else 1]))
    found = (
        page.get_by_test_id(f"field-{path}").or_(page.get_by_label(path.rpartition(".")[2], exact=True)).first
    )
    if not found.is_visible():
        panel.locator(".q-item").first.click()
    found.wait_for()
    return found


def outcome(page: Any, wanted: str) -> Any:
    box = page.locator(f'[data-testid=trial][data-outcome="{wanted}"]')
    box.wait_for(timeout=3 * MS)
    return box


def test_a_good_change_is_tried_proved_and_kept(open_page: Any, device: Stand) -> None:
    field(open_page, "rules.quiet.after").fill("7s")
    open_page.get_by_text("1 value would change").wait_for()
    assert "rule quiet: restarts" in open_page.get_by_test_id("effects").inner_text()
    removed, added = (
        open_page.locator(f".rp-diff-line.rp-{kind}").inner_text() for kind in ("removed", "added")
    )
    assert ("after: 2s" in removed, "after: 7s" in added) == (True, True)
    assert removed.startswith("-")
    assert added.startswith("+")
    open_page.get_by_test_id("try").click()
    steps = outcome(open_page, "applied").get_by_test_id("trial-steps").locator("[data-step=done]")
    assert steps.count() == 3
    assert "(yours)" in outcome(open_page, "applied").inner_text()
    reported = device.device.last("config/reported")
    assert (reported["state"], reported["revision"]) == ("applied", 1)
    text = device.run(_text(device))
    assert "# the button is under the desk\n" in text
    assert "after: 7s" in text


async def _text(device: Stand) -> str:
    from console.agent_client import AgentClient

    async with AgentClient(device.device.folder / "data") as client:
        return (await client.config())["text"]


def test_a_fatal_change_goes_back_by_itself_and_the_page_says_so(open_page: Any, device: Stand) -> None:
    """Another broker, where nobody listens: the device could never be reached again."""
    before = device.run(_text(device))
    field(open_page, "broker.url").fill("mqtt://127.0.0.1:9")
    open_page.get_by_text("needs several signatures").wait_for()
    open_page.get_by_test_id("goes-back-after").click()
    open_page.locator(".q-menu .q-item", has_text="10 s").click()
    open_page.get_by_test_id("try").click()
    outcome(open_page, "trying")
    open_page.get_by_text(re.compile(r"Goes back by itself in \d+ s")).wait_for()
    box = outcome(open_page, "rolled_back")
    assert "went back by itself" in box.inner_text()
    assert "the broker was not reached within" in box.get_by_test_id("trial-reason").inner_text()
    assert box.locator("[data-step=failed]").inner_text().endswith("The broker is reached")
    assert device.run(_text(device)) == before
    device.device.board.press("tamper")
    device.until(lambda: bool(device.device.alerts("tamper")), "an alert after the way back")


def test_a_mistake_stands_where_it_is_typed(open_page: Any) -> None:
    typed = field(open_page, "rules.quiet.after")
    typed.fill("3 parsecs")
    mistake = open_page.get_by_test_id("mistake")
    mistake.wait_for()
    assert "is not a duration; write a number and ms, s, m, h or d" in mistake.inner_text()
    open_page.locator(".rp-mistake-line").wait_for()  # the editor marks it a moment later
    assert open_page.locator(".rp-mistake-line").count() == 1
    assert "parsecs" in open_page.locator(".rp-mistake-line").inner_text()
    panel = open_page.get_by_test_id("panel-rules.quiet")
    assert "is not a duration" in panel.locator(".q-field__messages").last.inner_text()
    assert "1 mistake" in panel.inner_text()
    open_page.get_by_test_id("try").click()
    open_page.get_by_text("mend them first").wait_for()

    open_page.locator(".cm-content").click()
    open_page.keyboard.press("Control+End")
    open_page.keyboard.type("\nevil: '<img src=x onerror=alert(1)>'\n")
    open_page.get_by_text("unknown key").wait_for()
    open_page.keyboard.type("a: }")
    open_page.get_by_test_id("form-unreadable").wait_for()
    assert open_page.locator("img[src=x]").count() == 0


def test_a_text_that_is_too_large_is_not_taken(open_page: Any) -> None:
    """A megabyte at once would end the connection of the page."""
    open_page.locator(".cm-content").click()
    open_page.evaluate("""() => {
      const data = new DataTransfer();
      data.setData("text/plain", "a: " + "x".repeat(1_000_000));
      const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
      document.activeElement.dispatchEvent(event);
    }""")
    open_page.get_by_text("That text is too large: the device takes 256 KiB").wait_for()
    open_page.keyboard.type("#")
    open_page.get_by_text("Only comments or spaces differ.").or_(
        open_page.get_by_test_id("mistake")
    ).first.wait_for()


def test_a_part_is_added_by_the_form_and_the_other_side_has_it(open_page: Any) -> None:
    open_page.get_by_test_id("add-rules").click()
    dialog = open_page.locator(".rp-dialog")
    dialog.get_by_label("Kind", exact=True).fill("silence")
    open_page.locator(".q-menu .q-item", has_text="silence").first.click()
    dialog.get_by_label("Name", exact=True).fill("board-quiet")
    open_page.get_by_test_id("new-accept").click()
    open_page.get_by_text("rules.board-quiet.source: is required").wait_for()
    assert "board-quiet: {kind: silence}" in open_page.locator(".cm-content").inner_text()
    open_page.get_by_test_id("remove-rules.board-quiet").click()
    open_page.get_by_text("The text is as in force.").wait_for()


def test_another_person_s_change_meanwhile_is_never_overwritten(open_page: Any, device: Stand) -> None:
    field(open_page, "rules.quiet.after").fill("9s")
    open_page.get_by_text("1 value would change").wait_for()
    revision = device.device.last("config/reported")["highest_revision"] + 1
    patch = {"rules": {"quiet": {"after": "11s"}}, "reporting": {"health_every": "6s"}}
    device.run(device.device.order("config/desired", revision=revision, patch=patch, confirm_within_s=60))
    box = open_page.get_by_test_id("conflict")
    box.wait_for()
    assert "reporting.health_every: 5s → 6s" in box.inner_text()
    assert "Both changed rules.quiet.after" in box.inner_text()
    open_page.get_by_test_id("try").click()
    open_page.get_by_text("choose above first").wait_for()
    open_page.get_by_test_id("conflict-combine").click()
    box.wait_for(state="hidden")
    open_page.get_by_test_id("diff").get_by_text("11s").wait_for()
    diff = open_page.get_by_test_id("diff").inner_text()
    assert "9s" in diff
    assert "11s" in diff
    assert "health_every" not in [line for line in diff.splitlines() if line[:1] in "+-"]


@only_long  # else: test_deployment
def test_a_manual_trial_waits_survives_a_look_and_is_kept(open_page: Any, device: Stand) -> None:
    field(open_page, "rules.quiet.after").fill("8s")
    open_page.get_by_text("1 value would change").wait_for()
    open_page.get_by_test_id("manual").click()
    open_page.get_by_test_id("try").click()
    outcome(open_page, "unconfirmed")
    open_page.reload()  # as another technician would find it
    box = outcome(open_page, "unconfirmed")
    assert "Goes back by itself in" in box.inner_text()
    box.get_by_text("Keep it").click()
    outcome(open_page, "applied")
    assert "after: 8s" in device.run(_text(device))

    open_page.get_by_test_id("history-panel").locator(".q-item").first.click()
    history = open_page.get_by_test_id("history")
    history.get_by_text("Back to this").first.click()
    open_page.wait_for_function(
        "() => !document.querySelector('.cm-content').innerText.includes('after: 8s')"
    )
    assert "after: 8s" not in device.run(_text(device))


@only_long  # else: test_deployment_machine
def test_the_agent_restarts_during_a_trial(open_page: Any, device: Stand) -> None:
    field(open_page, "rules.quiet.after").fill("6s")
    open_page.get_by_text("1 value would change").wait_for()
    open_page.get_by_test_id("manual").click()
    open_page.get_by_test_id("try").click()
    outcome(open_page, "unconfirmed")
    device.restart_agent()
    open_page.get_by_test_id("agent-away").wait_for()
    box = outcome(open_page, "rolled_back")
    assert "the device restarted before it was confirmed" in box.inner_text()
