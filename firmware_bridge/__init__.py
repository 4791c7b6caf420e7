"""The hardware side of each interface: serial lines, their protocols, and decoded readings."""
