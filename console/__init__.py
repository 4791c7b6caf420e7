"""The page at the device: a process of its own, which reads the agent through its local socket."""
