"""Where the device is, and where on the ground a camera's pixel lies.

The `Locator` gets every observation first. A fix that is inaccurate or implausible is marked with its
doubt; every consumer of a position uses `accepted_fix`, so there is one definition of a good fix.
Receivers are ranked, and the last position is kept with its age. Cameras locate objects by surveyed points
(`Ground`) or by height, heading and attitude (`locate`), with an error radius in metres.

Everything here is pure; `ringpost replay` runs the same code. Coordinates are WGS-84 degrees, distances
metres, angles degrees clockwise from north.
"""
