"""Boat instruments by tables: what a sentence says, what it does not, and any content."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.nmea.instrument_sentences import SENTENCES
from firmware_bridge.nmea.instruments import ENCODED, InstrumentDecoder, encode
from firmware_bridge.nmea.quantities import QUANTITIES
from firmware_bridge.nmea.sentence import seal
from firmware_bridge.nmea.transducers import TRANSDUCERS
from firmware_bridge.readings import Reading
from firmware_bridge.serial.line_decoder import LineDecoder

KNOT = 1852 / 3600


def read(data: bytes, chunk: int = 0) -> dict[str, float]:
    """Quantities and values; a quantity is told once at most."""
    ear = LineDecoder([InstrumentDecoder()])
    size = chunk or len(data) or 1
    told = [value for at in range(0, len(data), size) for value in ear.feed(data[at : at + size])]
    readings = [value for value in told if isinstance(value, Reading)]
    assert all(math.isfinite(one.value) for one in readings)
    values = {one.quantity: one.value for one in readings}
    assert len(values) == len(readings)
    return values


def bad(data: bytes) -> int:
    ear = LineDecoder([InstrumentDecoder()])
    ear.feed(data)
    return ear.state().bad.get("content", 0)


SAID: list[tuple[str, dict[str, float]]] = [
    ("SDDBT,7.8,f,2.4,M,1.3,F", {"depth_below_transducer": 2.4}),
    ("SDDBT,7.9,f,,M,,F", {"depth_below_transducer": 2.4079}),
    ("SDDBT,,f,,M,1.3,F", {"depth_below_transducer": 2.3774}),
    ("SDDBT,,f,,M,,F", {}),
    ("23DBS,01.9,f,0.58,M,00.3,F", {"depth_below_surface": 0.58}),
    ("SDDBK,,f,1.5,M,,F", {"depth_below_keel": 1.5}),
    ("SDDPT,2.2,0.0", {"depth_below_transducer": 2.2}),
    ("SDDPT,2.2,", {"depth_below_transducer": 2.2}),
    ("SDDPT,2.2,0.5,100", {"depth_below_transducer": 2.2, "depth_below_surface": 2.7}),
    ("SDDPT,2.2,-0.5,100", {"depth_below_transducer": 2.2, "depth_below_keel": 1.7}),
    ("SDDPT,0.3,-0.5", {"depth_below_transducer": 0.3, "depth_below_keel": -0.2}),
    ("SDDPT,,0.5", {}),
    ("WIMWV,338,R,13.41,N,A", {"wind_apparent_angle": 338, "wind_apparent_speed": 6.8987}),
    ("WIMWV,313,T,4.20,M,A", {"wind_true_rel_angle": 313, "wind_true_rel_speed": 4.2}),
    ("WIMWV,0,T,36.0,K,A", {"wind_true_rel_angle": 0, "wind_true_rel_speed": 10}),
    ("WIMWV,90,R,10.0,S,A", {"wind_apparent_angle": 90, "wind_apparent_speed": 4.4704}),
    ("WIMWV,338,R,13.41,N,V", {}),
    ("WIMWV,,R,,N,A", {}),
    ("02MWV,327.6,R,1.89,N", {}),
    ("WIMWD,10,T,12,M,08.16,N,04.20,M", {
        "wind_true_ground_direction": 10, "wind_true_ground_direction_magnetic": 12, "wind_true_ground_speed": 4.2,
    }),
    ("IIMWD,,,,,08.16,N,04.20,M", {"wind_true_ground_speed": 4.2}),
    ("IIMWD,,,,,10.0,N,,", {"wind_true_ground_speed": 5.1444}),
    ("IIVWR,039,L,10.0,N,,M,,K", {"wind_apparent_angle": 321, "wind_apparent_speed": 5.1444}),
    ("IIVWT,039,R,,N,04.17,M,,", {"wind_true_rel_angle": 39, "wind_true_rel_speed": 4.17}),
    ("IIVWT,000,L,,N,,M,,", {"wind_true_rel_angle": 0}),
    ("IIVHW,,T,,M,06.11,N,11.31,K", {"speed_through_water": 3.1433}),
    ("IIVHW,10,T,12,M,,N,18.0,K", {"heading_true": 10, "heading_magnetic": 12, "speed_through_water": 5}),
    ("YXMTW,17.9,C", {"water_temperature": 17.9}),
    ("WIMDA,30.1107,I,1.0196,B,21.5,C,12.0,C,55.3,,12.1,C,215.0,T,220.0,M,8.2,N,4.2,M", {
        "air_pressure": 101_960, "air_temperature": 21.5, "water_temperature": 12, "relative_humidity": 55.3,
        "dew_point": 12.1, "wind_true_ground_direction": 215, "wind_true_ground_direction_magnetic": 220,
        "wind_true_ground_speed": 4.2,
    }),
    ("WIMDA,29.9213,I,,B,,C,,C,,,,C,,T,,M,8.2,N,,M", {"air_pressure": 101_325.1612, "wind_true_ground_speed": 4.2184}),
    ("WIMDA,,I,,B,,C,,C,,,,C,,T,,M,,N,,M", {}),
    ("WIMDA,30.0,I", {"air_pressure": 101_591.67}),
    ("VWVLW,1200.5,N,10.25,N", {"distance_through_water": 2_223_326, "trip_distance_through_water": 18_983}),
    ("VWVLW,,N,1.0,N,5.0,N,2.0,N", {
        "trip_distance_through_water": 1852, "distance_over_ground": 9260, "trip_distance_over_ground": 3704,
    }),
    ("IIRPM,E,1,1450.0,,A", {"engine_1_speed": 1450}),
    ("IIRPM,S,02,-90,45.5,A", {"shaft_2_speed": -90, "shaft_2_pitch": 45.5}),
    ("IIRPM,E,0,700,,", {"engine_0_speed": 700}),
    ("IIRPM,E,1,1450.0,,V", {}),
    ("IIRPM,E,1,,,A", {}),
    ("IIXDR,C,19.5,,TempAir", {"temperature_tempair": 19.5}),
    ("IIXDR,P,1.02481,,Baro,P,101325,,Other,P,1013.2,,Odd", {"pressure_baro": 102_481, "pressure_other": 101_325}),
    ("IIXDR,H,55,,Air,U,12.6,,Batt,T,1450,,Eng,A,-3.5,,Pitch,D,1.5,,Trim,F,50,,Grid,I,2.5,,Load", {
        "relative_humidity_air": 55, "voltage_batt": 12.6, "rotation_eng": 1450, "angle_pitch": -3.5,
        "displacement_trim": 1.5, "frequency_grid": 50, "current_load": 2.5,
    }),
    ("YXMTW,-1.2,C", {"water_temperature": -1.2}),
    ("HEHDT,123.4,T", {"heading_true": 123.4}),
    ("IIHDT,,T", {}),
    ("04HDM,186.5,M", {"heading_magnetic": 186.5}),
    ("HETHS,123.4,A", {"heading_true": 123.4}),
    ("HETHS,123.4,E", {}),
    ("HCHDG,182.1,,,,", {"heading_magnetic": 182.1}),
    ("HCHDG,182.1,2.0,W,4.5,E", {"heading_magnetic": 180.1, "magnetic_variation": 4.5, "heading_true": 184.6}),
    ("HCHDG,1.0,2.0,W,4.5,W", {"heading_magnetic": 359, "magnetic_variation": -4.5, "heading_true": 354.5}),
    ("AGRSA,-5.5,A,,V", {"rudder_angle": -5.5}),
    ("AGRSA,-5.5,V,3,A", {"rudder_angle_port": 3}),
    ("TIROT,-12.5,A", {"rate_of_turn": -12.5}),
    ("TIROT,-12.5,V", {}),
    ("IIVTG,224.44,T,224.44,M,5.81,N,,,D", {"course_over_ground_true": 224.44, "speed_over_ground": 2.9889}),
    ("INVTG,77.5,T,93.3,M,5.2,N,9.7,K", {"course_over_ground_true": 77.5, "speed_over_ground": 2.6751}),
    ("GPVTG,224.44,T,224.44,M,5.81,N,,,D", {}),
    ("IIVTG,224.44,T,,M,5.81,N,,,N", {}),
    ("YXXDR,C,19.5,C,TempAir", {"temperature_tempair": 19.5}),
    ("YXXDR,C,68.0,F,Engine Room#1", {"temperature_engine_room_1": 20}),
    ("IIXDR,P,1.02481,B,Barometer,H,63,P,AIRH", {"pressure_barometer": 102481, "relative_humidity_airh": 63}),
    ("APXDR,A,0.144,D,PTCH,A,3.9,D,ROLL", {"angle_ptch": 0.144, "angle_roll": 3.9}),
    ("YXXDR,U,12.6,V,", {"voltage": 12.6}),
    ("YXXDR,U,12.6,V", {"voltage": 12.6}),
    ("YXXDR,G,5,,X,A,,D,PTCH,C,20.5,C,ENV", {"temperature_env": 20.5}),
    ("YXXDR,A,,PTCH,A,1.2,D,ROLL", {"angle_roll": 1.2}),
    ("PSDBT,7.8,f,2.4,M,1.3,F", {}),
    ("GPGGA,061231.00,3206.972,N,11844.424,E,1,08,0.9,12.5,M,,M,,", {}),
]  # fmt: skip


@pytest.mark.parametrize("chunk", [0, 1])
@pytest.mark.parametrize(("body", "told"), SAID, ids=[case[0] for case in SAID])
def test_what_a_sentence_says(body: str, told: dict[str, float], chunk: int) -> None:
    assert read(b"\xff$SDD" + seal(body), chunk) == pytest.approx(told, abs=1e-4)
    assert bad(seal(body)) == 0


CANNOT_BE: list[tuple[str, dict[str, float]]] = [
    ("SDDBT,,f,-2.4,M,,F", {}),
    ("SDDBT,,f,nan,M,,F", {}),
    ("SDDBT,,f,1e400,M,,F", {}),
    ("SDDBT,,f,2..4,M,,F", {}),
    ("SDDBT,,f,2.4,X,,F", {}),
    ("SDDBT,,f,99999,M,,F", {}),
    ("SDDPT,2.2,x", {"depth_below_transducer": 2.2}),
    ("SDDPT,2.2,500", {"depth_below_transducer": 2.2}),
    ("WIMWV,400,R,5,N,A", {"wind_apparent_speed": 2.5722}),
    ("WIMWV,40,R,500,N,A", {"wind_apparent_angle": 40}),
    ("WIMWV,40,Q,5,N,A", {}),
    ("IIVWR,190,L,,N,,M,,K", {}),
    ("IIVWR,90,X,,N,,M,,K", {}),
    ("YXMTW,171.9,C", {}),
    ("YXMTW,17.9,F", {}),
    ("HEHDT,361,T", {}),
    ("HEHDT,-1,T", {}),
    ("HCHDG,361,,,,", {}),
    ("HCHDG,61,200,E,,", {}),
    ("HCHDG,61,2,,,", {}),
    ("AGRSA,-95,A,,V", {}),
    ("TIROT,-99999,A", {}),
    ("IIXDR,C,12..3,C,A,C,19,C,B", {"temperature_b": 19}),
    ("IIXDR,H,163,P,A,C,19,C,B", {"temperature_b": 19}),
]


@pytest.mark.parametrize(("body", "told"), CANNOT_BE, ids=[case[0] for case in CANNOT_BE])
def test_what_cannot_be_is_counted_once_and_not_told(body: str, told: dict[str, float]) -> None:
    assert read(seal(body)) == pytest.approx(told, abs=1e-4)
    assert bad(seal(body)) == 1


def test_what_has_no_checksum_or_a_wrong_one_says_nothing() -> None:
    whole = seal("SDDBT,7.8,f,2.4,M,1.3,F")
    assert read(whole.partition(b"*")[0] + b"\r\n" + whole.replace(b"2.4", b"2.5")) == {}


def test_each_quantity_that_is_made_is_read_back_with_its_unit() -> None:
    middle = {
        name: round((least + most) / 3, 3) for name, (_, least, most) in QUANTITIES.items()
        if any(name in names for names, _ in ENCODED)
    }  # fmt: skip
    said = encode(*(Reading(quantity=name, value=value, unit="") for name, value in middle.items()))
    assert read(said) == pytest.approx(middle, rel=1e-5)
    units = {
        one.quantity: one.unit
        for one in LineDecoder([InstrumentDecoder()]).feed(said)
        if isinstance(one, Reading)
    }
    assert units == {name: QUANTITIES[name][0] for name in middle}


def test_a_quantity_without_a_sentence_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no sentence for cabin_noise; known: depth_below_transducer"):
        encode(Reading(quantity="cabin_noise", value=1, unit="dB"))


FIELD = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(str), st.integers(-10**12, 10**12).map(str),
    st.sampled_from([*"TMNKFfRLAVEWCSD", "", "nan", "inf", "-", "1_0", "+5", "0x1"]), st.text("0123456789.-eE", max_size=9),
)  # fmt: skip
KINDS = sorted(kind.decode() for kind in SENTENCES)


@given(st.sampled_from(KINDS), st.lists(FIELD, max_size=16), st.sampled_from(["II", "GP", "04", "P1"]))
def test_any_fields_with_a_good_checksum_tell_only_what_can_be(
    kind: str, fields: list[str], talker: str
) -> None:
    ear = LineDecoder([InstrumentDecoder()])
    for value in ear.feed(seal(",".join([talker + kind, *fields])[:200])):
        assert isinstance(value, Reading)
        assert math.isfinite(value.value)
        if value.quantity in QUANTITIES:
            unit, least, most = QUANTITIES[value.quantity]
            assert (value.unit, least <= value.value <= most) == (unit, True)
        else:
            assert value.unit in {row[1] for row in TRANSDUCERS.values()}
            assert len(value.quantity) < 50


@given(st.binary(max_size=200), st.integers(1, 9))
def test_any_noise_costs_at_most_what_it_hit(noise: bytes, chunk: int) -> None:
    said = encode(Reading(quantity="depth_below_transducer", value=4.2, unit="m"))
    ear = LineDecoder([InstrumentDecoder()])
    data = noise + b"\r\n" + said + said
    told = [value for at in range(0, len(data), chunk) for value in ear.feed(data[at : at + chunk])]
    assert Reading(quantity="depth_below_transducer", value=4.2, unit="m") in told
