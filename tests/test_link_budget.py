"""The byte budget on a real connection to the scripted broker."""

from pathlib import Path

from tests.link_rig import SPEAKER, ids, message, run
from tests.scripted_broker import ScriptedBroker
from tests.waiting import play, until


def test_telemetry_waits_for_the_byte_budget_and_an_alert_does_not(tmp_path: Path) -> None:
    async def scene() -> None:
        old = [message("telemetry", 1000) for _ in range(30)]
        async with ScriptedBroker() as broker, run(tmp_path, broker, owed=old, budget_kb_per_hour=60) as one:
            await until(lambda: one.link.saving)  # 10 kB are saved up
            sent = len(ids(broker.published, "telemetry/gnss"))
            assert 5 <= sent < 30
            alert = message()
            await one.outbox.put(alert)
            await until(lambda: alert.id in ids(broker.published))
            await until(lambda: broker.published[-1].topic.endswith("alert"))
            assert len(ids(broker.published, "telemetry/gnss")) == sent
            assert await one.owed("telemetry") == 30 - sent

    play(scene)


def test_a_sign_of_life_brings_back_an_alert_beyond_the_byte_budget(tmp_path: Path) -> None:
    async def scene() -> None:
        alert = message(size=20_000)  # twice what is saved up
        async with ScriptedBroker() as broker, run(tmp_path, broker, budget_kb_per_hour=60) as one:
            await one.outbox.put(alert, message("telemetry"))
            await until(lambda: one.link.saving and len(one.link.receipts))
            broker.send(SPEAKER.host_status, b'{"state":"online"}')
            await until(lambda: ids(broker.published) == [alert.id, alert.id])

    play(scene)
