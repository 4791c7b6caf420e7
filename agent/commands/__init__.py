"""What the centre may ask of the device, and the state of outputs.

Each command is validated, carried out at most once per id (also across a restart), and answered with a
``command/result``. Nothing that arrives is executed as code. An output such as a siren is never simply
switched on: it is requested for a limited time, compared with what the board reports, and expires by
itself.
"""
