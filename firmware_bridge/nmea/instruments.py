"""Boat instruments over NMEA 0183: sentences in, one `Reading` for each quantity out.

    $SDDBT,feet,f,metres,M,fathoms,F   below the transducer; DBS below the surface, DBK below the keel
    $SDDPT,metres,offset,range         offset above 0: transducer to surface, below 0: transducer to keel
    $WIMWV,angle,R,speed,N,A           R apparent, T true, both from the bow; A valid, and nothing else is
    $WIMWD,true,T,magnetic,M,knots,N,m/s,M        where the wind comes from, over ground
    $WIVWR,angle,L,knots,N,m/s,M,km/h,K           apparent, L or R of the bow; VWT true
    $VWVHW,true,T,magnetic,M,knots,N,km/h,K       heading and speed through water
    $YXMTW,degrees,C    $HEHDT,degrees,T    $HCHDM,degrees,M    $HETHS,degrees,A
    $HCHDG,sensor,deviation,E,variation,E         magnetic = sensor + deviation, true = magnetic + variation
    $WIMDA,inHg,I,bar,B,air,C,water,C,humidity,absolute,dew point,C,wind true,T,magnetic,M,knots,N,m/s,M
    $VWVLW,miles,N,since reset,N,over ground,N,since reset,N
    $ERRPM,E,number,1/min,pitch,A                 E engine, S shaft
    $AGRSA,rudder,A,port rudder,A    $TIROT,degrees a minute,A    $IIVTG,course,T,,M,knots,N,…
    $YXXDR,{type,value,unit,name} x n             a damaged group affects no other

    quantity                        unit      from
    depth_below_transducer          m         DBT, DPT
    depth_below_surface             m         DBS, DPT
    depth_below_keel                m         DBK, DPT
    wind_apparent_angle             deg       MWV R, VWR    from the bow, clockwise, 0 to 360
    wind_apparent_speed             m/s       MWV R, VWR
    wind_true_rel_angle             deg       MWV T, VWT    from the bow too: true is the wind on the water
    wind_true_rel_speed             m/s       MWV T, VWT
    wind_true_ground_direction      deg       MWD           from true north; …_magnetic from magnetic
    wind_true_ground_speed          m/s       MWD
    speed_through_water             m/s       VHW
    water_temperature               degC      MTW
    heading_true                    deg       HDT, THS, HDG, VHW
    heading_magnetic                deg       HDM, HDG, VHW
    magnetic_variation              deg       HDG           east above 0
    rudder_angle, rudder_angle_port deg       RSA           to starboard above 0
    rate_of_turn                    deg/min   ROT           to starboard above 0
    course_over_ground_true         deg       VTG of an instrument; that of a GNSS receiver is in its fix
    speed_over_ground               m/s       VTG likewise
    air_pressure                    Pa        MDA
    air_temperature, dew_point      degC      MDA
    relative_humidity               percent   MDA
    distance_through_water          m         VLW; trip_… since it was reset, …_over_ground likewise
    engine_N_speed, shaft_N_speed   1/min     RPM; N is the number, 0 that of the one amidships
    engine_N_pitch, shaft_N_pitch   percent   RPM
    temperature_NAME, pressure_NAME, …        XDR, see `transducers.py`

Any talker but vendors' ``$P…``, numbers too. An empty field is absent; a field that is not a number, has
another unit or is out of range (`QUANTITIES`) counts as bad and is not reported. Source: NMEA 0183 v4.11,
and recordings.
"""

from firmware_bridge.nmea.instrument_sentences import SENTENCES
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.readings import Reading, Value
from firmware_bridge.units import KNOT_MPS

GNSS = frozenset({b"GP", b"GL", b"GA", b"GB", b"BD", b"GQ", b"GI", b"GN"})
"""Talkers whose VTG belongs to a fix."""
ALL_FIELDS = 21
"""A sentence that ends early lacks its last fields."""


class InstrumentDecoder:
    """Sentences with a valid checksum in, readings out. ``bad`` counts sentences with invalid content."""

    framings = ("nmea",)

    def __init__(self) -> None:
        self.bad = 0

    def feed(self, sentence: bytes) -> list[Value]:
        """The readings of an instrument's sentence; none for other sentences, which are never split."""
        kind = sentence[3:6]
        take = SENTENCES.get(kind)
        if take is None or sentence[6:7] != b"," or sentence[:1] != b"$" or sentence[1:2] == b"P":
            return []
        if kind == b"VTG" and sentence[1:3] in GNSS:
            return []
        fields = sentence.partition(b"*")[0].split(b",")
        readings = list(take(fields + [b""] * (ALL_FIELDS - len(fields))))
        self.bad += None in readings
        return [reading for reading in readings if reading is not None]

    def pause(self) -> list[Value]:
        """Nothing is held back."""
        return []

    def replies(self) -> bytes:
        """Nothing: receive-only."""
        return b""


def encode(*readings: Reading, talker: str = "II") -> bytes:
    """The sentences that carry these readings; ValueError for a quantity that no sentence carries."""
    texts = {one.quantity: f"{one.value / ENCODED_FACTORS.get(one.quantity, 1):.6g}" for one in readings}
    bodies = []
    for quantities, body in ENCODED:
        if any(quantity in texts for quantity in quantities):
            bodies.append(talker + body.format(*(texts.pop(quantity, "") for quantity in quantities)))
    if texts:
        known = ", ".join(quantity for quantities, _ in ENCODED for quantity in quantities)
        raise ValueError(f"no sentence for {', '.join(texts)}; known: {known}")
    return b"".join(map(seal, bodies))


ENCODED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("depth_below_transducer",), "DBT,,f,{0},M,,F"),
    (("depth_below_surface",), "DBS,,f,{0},M,,F"),
    (("depth_below_keel",), "DBK,,f,{0},M,,F"),
    (("wind_apparent_angle", "wind_apparent_speed"), "MWV,{0},R,{1},M,A"),
    (("wind_true_rel_angle", "wind_true_rel_speed"), "MWV,{0},T,{1},M,A"),
    (
        ("wind_true_ground_direction", "wind_true_ground_direction_magnetic", "wind_true_ground_speed"),
        "MWD,{0},T,{1},M,,N,{2},M",
    ),
    (("speed_through_water",), "VHW,,T,,M,{0},N,,K"),
    (("water_temperature",), "MTW,{0},C"),
    (("heading_true",), "HDT,{0},T"),
    (("heading_magnetic",), "HDM,{0},M"),
    (("rudder_angle", "rudder_angle_port"), "RSA,{0},A,{1},A"),
    (("rate_of_turn",), "ROT,{0},A"),
)
"""The sentences that `encode` makes: the quantities in each, in their order."""
ENCODED_FACTORS = {"speed_through_water": KNOT_MPS}
"""The sentences' units that are not ours."""
