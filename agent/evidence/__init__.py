"""Pictures and clips of alerts: recorded in a ring, kept around an alert, sent best first.

The recorder sees every frame with its detections, keeps a ring of JPEGs for each camera on the disk, and
gives an alert its best picture at once and its clip later on request (`ringpost fetch`). Redaction happens
when a picture is written and again when it leaves (`agent.privacy`). A picture has at most 64 KiB.
Encoding runs off the loop; an alert never waits for its picture.
"""
