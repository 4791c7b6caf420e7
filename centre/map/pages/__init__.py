"""The page of ``ringpost map``. The only part of the map, with its server, that knows NiceGUI."""
