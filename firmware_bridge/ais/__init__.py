"""AIS receivers: vessels, aids to navigation, distress beacons and DSC calls. Receive only."""
