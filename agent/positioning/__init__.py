"""Positioning: where the device is, which fixes are trusted, and where on the ground a camera's pixel lies.

Read this first: ``locator.py`` (`Locator`), then ``fix_gate.py`` (`FixGate`).

Owns: the quality limits of a fix (`Positioning`), the check of each receiver (`FixGate`), the choice between
receivers (`DevicePosition`), camera geolocation (`CameraGeolocator`, by surveyed points or by ray casting),
and the closest point of approach of vessels (`closest_approach`, `VesselTraffic`).
Guarantees: a fix without a rejection reason met the configured limits, does not follow an implausible jump,
and comes from a receiver that reports no spoofing (`accepted_fix` is the only test of this in the agent). An
``error_m`` of a point on the ground is a radius that holds with 95 %.
Threads: none. Everything is synchronous and pure: observations with monotonic times go in, so `replay` runs
the same classes. Numpy is loaded on first use.
Errors: ValueError for surveyed points that give no plane; otherwise a missing position is None, and never
an exception: `Locator` logs ``locator_failed`` and marks the fix as rejected.
"""
