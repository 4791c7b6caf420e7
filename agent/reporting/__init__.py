"""The reports of the device about itself: status, birth, health, position and telemetry.

Read `reporter.py` first, then `telemetry.py`.
Owns: the messages of this device (`messages.MessageFactory`), the reports and their intervals
(`reporter.Reporter.due`), telemetry batches (`telemetry`), limits on names from outside (`flood_limit`,
`vessel_reports`), the health of host and device (`host_monitor`, `device_health`), clock quality.
Guarantees: names from outside (vessels, drones, quantities) are limited in number and rate, and every batch
counts those left out; a value that the machine does not offer is absent, never zero. A change of state or of
its reasons is reported within about a second.
Threads: the event loop; `host_monitor.read_host` runs on a worker thread.
Errors: none; nothing here opens a connection or a port.
"""
