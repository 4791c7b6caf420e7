"""Vision: cameras as sources. Frames in, `Sighting`, `View` (visibility) and `CameraState` out.

    probe_stream ─▶ FrameReader (a thread per camera) ─▶ CameraSlot ─▶ InferencePool ─▶ Tracker ─▶ Sighting
                                                                    └▶ VisibilityMonitor ─▶ View

Read this first: ``camera.py`` (`Camera.run`), then ``inference_pool.py``.

Owns: the camera configuration (`CameraSettings`, `DetectorSettings`, `MotionSettings`, `VisibilitySettings`),
all connections to cameras (only ``capture.py`` has VideoCapture), inference, tracking and visibility.
Guarantees: only the newest frame counts, inference never queues up. Connections to cameras are made and
verified in Python; FFmpeg opens regular files and our relay on the loopback only. Nothing identifies anyone.
Threads: one for each camera, an inference thread per core, one for each RTSP relay. A native call that hangs
is abandoned, and its camera raises TimeoutError; the others continue.
Errors: OSError with one line for a camera that delivers no frames; ValueError for a URL that is not allowed.
"""
