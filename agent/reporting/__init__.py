"""What the device says about itself: status, birth, health, position and telemetry.

The `Reporter` turns observations and health into messages at limited rates. Names from outside (vessels,
drones, quantities) are limited in number and rate; what was left out is counted in each message. Figures
that the machine does not offer are absent, never zero. Nothing here opens a connection or a port.
"""
