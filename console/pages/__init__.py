"""One module for each page of ``ringpost console``: `build` draws it for one session."""
