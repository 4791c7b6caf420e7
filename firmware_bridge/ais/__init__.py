"""AIS receivers: vessels, aids to navigation, distress beacons and DSC calls. Receive-only.

Entry points: `ais.Ais` (the source), `AisDecoder` and `DscDecoder` (pure: sentences in, `Vessel` out). A
distress call is reported even without a position. Invalid content is counted in ``bad``, a message with a
missing part in ``lost``; neither raises. Read this first: `ais.py`, then `transponder.py`.
"""
