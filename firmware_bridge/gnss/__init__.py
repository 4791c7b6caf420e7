"""GNSS receivers beyond NMEA: u-blox UBX, with jamming and spoofing indicators, and a local gpsd.

Entry points: `ubx.Ubx` and `gpsd.Gpsd` (sources), `UbxDecoder` and `GpsdDecoder` (pure: bytes in, `Fix` and
`GnssState` out). A fix passes only with the receiver's own validity flag. Invalid content is counted in
``bad`` and raises nothing; OSError means that gpsd or the port is lost. Read this first: `ubx_decoder.py`.
"""
