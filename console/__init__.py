"""The page at the device: a process of its own, which reads the agent through its local socket."""

import os
import tempfile

# NiceGUI would store things below the working directory. Nothing of ours is stored there, and where it stores
# something of its own, that goes elsewhere. It reads this when it is imported.
os.environ.setdefault("NICEGUI_STORAGE_PATH", f"{tempfile.gettempdir()}/ringpost-console-{os.getuid()}")
