"""Protection of people in pictures: redaction, the only exception to it, and the log of exports.

No picture leaves without a detection pass on that very frame, repeated more closely before export;
everybody found is covered by a solid fill, or nothing is shown. A rescue grant, signed with the device's
own key and limited in time, is the only way to lift that. Each exported picture is in the egress log, on
disk, before it leaves. There is no code that identifies anyone; `tests/test_architecture.py` forbids it.
"""
