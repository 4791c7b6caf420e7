"""Evidence: the pictures of alerts, and the seconds of video around each alert.

Read this first: ``recorder.py`` (`EvidenceRecorder`), then ``release.py`` (`PictureRelease`).

Owns: the newest frame of each camera, the ring buffer and the clips on disk (`ClipStore`), the redacted JPEG
with its label (``jpeg.py``), the configuration section ``evidence`` (`Evidence`).
Guarantees: every picture that leaves the device goes through `PictureRelease.release`, which runs the
detector over it once more, redacts people and blackout zones, and writes the audit log first. Where the
detector can't run, the picture leaves fully redacted; where no picture can be made, it is withheld.
Threads: `EvidenceRecorder` belongs to the event loop; encoding, disk and inference run in worker threads, one
picture at a time. Where they are slower than the cameras, the newest frame replaces the waiting one.
Errors: failures appear in `EvidenceRecorder.troubles` (for ``health``) and in the log as
``evidence_trouble``. `EvidenceRecorder.fetch` raises ValueError: no such clip, or another is on its way.
"""
