"""Cameras as sources: frames in, sightings and visibility out.

    Capture (a thread for each camera) ─▶ MotionGate ─▶ Pool (inference) ─▶ Tracker ─▶ Sighting
                                      └▶ VisibilityMonitor ─▶ CameraState: which zones are blind, and why

Only the newest frame counts: inference never builds up a queue. Every connection to a camera is made in
Python and verified; OpenCV and FFmpeg get regular files, devices and loopback addresses only. A native
call that hangs raises TimeoutError in its camera and leaves the others running. `VideoCapture` is used in
one file.
"""
