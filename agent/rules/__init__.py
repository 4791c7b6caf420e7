"""The rules: one file for each kind, named as its ``kind``; `Rule` lists all kinds of a configuration.

A rule is its settings (a frozen Pydantic model) and an evaluator: observations in, `Finding` or `Cleared`
out. Evaluators are pure and read no clock, so that `ringpost replay` and the tests run the same code as the
device. An exception in one rule stops no other rule (`agent.alerts.rule_engine`).

Four modules are shared parts and not kinds: `camera_rule` (rules on pictures), with `occupancy` and
`presence` (the objects in an area), `position_rule` (rules on the position of the device), and `hold_timer`
(hold time and debouncing).

Read `switch.py` first; a new kind is one file, one test and one line here (CONTRIBUTING.md, "A rule").
"""

from typing import Annotated

from pydantic import Field

from agent.rules.beyond_railing import BeyondRailing
from agent.rules.blind import Blind
from agent.rules.count import Count
from agent.rules.distress_beacon import DistressBeacon
from agent.rules.drone_battery import DroneBattery
from agent.rules.drone_lost import DroneLost
from agent.rules.geofence import Geofence
from agent.rules.interference import Interference
from agent.rules.line_cross import LineCross
from agent.rules.moved import Moved
from agent.rules.on_post import OnPost
from agent.rules.person_in_water import PersonInWater
from agent.rules.route import Route
from agent.rules.silence import Silence
from agent.rules.stationary import Stationary
from agent.rules.switch import SwitchRule
from agent.rules.threshold import Threshold
from agent.rules.vessel_adrift import VesselAdrift
from agent.rules.vessel_close import VesselClose
from agent.rules.wrong_way import WrongWay
from agent.rules.zone_dwell import ZoneDwell
from agent.rules.zone_enter import ZoneEnter

Rule = Annotated[
    BeyondRailing
    | Blind
    | Count
    | DistressBeacon
    | DroneBattery
    | DroneLost
    | Geofence
    | Interference
    | LineCross
    | Moved
    | OnPost
    | PersonInWater
    | Route
    | Silence
    | Stationary
    | SwitchRule
    | Threshold
    | VesselAdrift
    | VesselClose
    | WrongWay
    | ZoneDwell
    | ZoneEnter,
    Field(discriminator="kind"),
]
