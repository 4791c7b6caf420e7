"""The simulated world and its truth: pure functions of a seed and a second, known to no agent.

Read this first: ``settings.py`` (the section ``world`` of a scenario), then ``world.py`` (`World`).

Owns: where everything is (`tracks`, `river`, `mission`, `people`), the sea and the light (`waves`,
`daylight`), what sensors would get of it (`sightings`, `gnss_error`, `measurements`), the truth of a run
(`truth`), and the score of what devices reported against it (`scoring`).
Guarantees: the same seed and second give the same answer, in any order of questions; nothing moves faster
than its track allows, and nothing jumps.
Threads: none. No clock is read and nothing is opened but track files.
"""
