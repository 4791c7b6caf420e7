"""GNSS receivers beyond NMEA: u-blox UBX, with jamming and spoofing indicators, and a local gpsd."""
