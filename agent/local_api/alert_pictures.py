"""``picture``: a recorded picture of an alert, redacted once more as one that leaves."""

import asyncio

from agent.evidence.jpeg import MAX_SIDE, read_label
from agent.local_api.camera_pictures import redacted_fields
from agent.local_api.looks import LookLog
from agent.local_api.parts import AgentParts, Answer, Call, RequestError

MOST_PICTURES = 10_000


class AlertPictures:
    """Shows pictures of clips; each look is in the audit log."""

    def __init__(self, parts: AgentParts, looks: LookLog) -> None:
        self._parts, self._looks = parts, looks
        self._in_turn = asyncio.Lock()  # a picture that waits for its search takes megabytes

    async def picture(self, call: Call) -> Answer:
        """The JPEG; picture 1 is the one nearest to the alert, from 2 on those of its clip."""
        async with self._in_turn:
            return await self._picture(call)

    async def _picture(self, call: Call) -> Answer:
        alert_id, number = call.text("alert_id", 64), int(call.number("n", 1, 1, MOST_PICTURES))
        recorder = self._parts.pipeline.recorder
        try:
            camera, kept = await recorder.kept_picture(alert_id, number)
            if withheld := await self._looks.begin(call.peer, camera=camera, alert_id=alert_id, n=number):
                raise RequestError(withheld)
            jpeg = await recorder.look(
                kept, camera, {"alert_id": alert_id, "n": number, "why": "look"}, MAX_SIDE
            )
        except ValueError as error:  # no such picture, or a damaged one
            raise RequestError(str(error)) from error
        redacted = redacted_fields(jpeg)
        if not redacted["redacted"]:
            shown = {"camera": camera, "alert_id": alert_id, "n": number, "people_shown": True}
            if withheld := await self._looks.begin(call.peer, **shown):
                raise RequestError(withheld)
        facts = {"alert_id": alert_id, "n": number, "camera": camera, "at": read_label(jpeg).get("at")}
        return Answer({**facts, **redacted}, jpeg)
