"""Sensor boards of our own protocol (``docs/sensor_board.md``), Modbus sensors and Victron VE.Direct."""
