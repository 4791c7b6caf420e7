"""The rules, one file each; `Rule` lists all kinds that a configuration can name."""

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
