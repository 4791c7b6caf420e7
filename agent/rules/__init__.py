"""The rules, one file each; `Rule` lists all kinds that a configuration can name."""

from typing import Annotated

from pydantic import Field

from agent.rules.line_cross import LineCross
from agent.rules.silence import Silence
from agent.rules.switch import SwitchRule
from agent.rules.threshold import Threshold
from agent.rules.zone_dwell import ZoneDwell
from agent.rules.zone_enter import ZoneEnter

Rule = Annotated[
    LineCross | Silence | SwitchRule | Threshold | ZoneDwell | ZoneEnter, Field(discriminator="kind")
]
