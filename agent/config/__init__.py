"""The configuration: the local file, pushes from the centre, and what a push may change.

`parse` validates YAML 1.2 and reports every mistake as ``FILE:LINE: path: message``. A push is checked
against the policies, staged, applied, and must prove itself: the centre's receipt over a changed broker, a
value from each changed source. Otherwise it is rolled back, also after a power cut in the middle. A field
that the policy table does not list can be changed in the local file only. Reading a configuration loads
nothing heavy.
"""
