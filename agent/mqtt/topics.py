"""The topics of a device below its prefix: those it publishes retained, and those it subscribes to."""

RETAINED = ("status", "birth", "health", "position", "alerts/active", "config/reported")
PUSHES = "config/desired"
ROLES = "roles/desired"
GROUPS = "groups"
"""In place of a device's name: topics of groups of devices."""
DOWN = ("receipt", "alert/ack", PUSHES, ROLES, "command/+")

# A packet that is too large ends the connection, and waits there for the next one, or is retained. So the
# next connection has no session and leaves out the topics of its level: pushes, and where that was not enough
# all but the centre's receipts and status.
LEFT_OUT: tuple[tuple[str, ...], ...] = ((), (PUSHES, ROLES), (PUSHES, ROLES, "alert/ack", "command/+"))
LEFT_OUT_TEXTS = ("", "pushes are", "pushes, commands and answers are")
