"""Drones over MAVLink 1 and 2: attitude, position, battery, mode; optional signatures. Receive only."""
