"""Every fault of the field: what it hits, its begin and end, and the proof that it had an effect.

Entry point: `catalogue.CATALOGUE`. Read this first: `fault.py`. A fault acts on the protocols of
`simulators.stage` only, and so is the same in virtual and in real time.
"""
