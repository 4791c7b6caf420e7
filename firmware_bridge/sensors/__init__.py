"""Sensors on a line: our own sensor board (``docs/sensor_board.md``), Modbus sensors and Victron VE.Direct.

Entry points: the sources `SensorBoard`, `Modbus` and `VeDirect`. The sensor board and Modbus also send:
`BoardRequests` and `ModbusMaster` keep one request open at a time, and are pure: the time is an argument of
each call. A failed reading is reported as missing, never as a value; `BoardState` names the failed sensors.
OSError means that the line is lost or silent for too long. Read this first: `sensor_board.py`.
"""
