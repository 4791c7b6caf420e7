"""Virtual time: real agents, a broker and a centre in one process; the clock jumps to the next timer.

The same seed gives the same trace, byte for byte. See docs/decisions/0060-virtual-time.md.
"""
