"""Why an order is refused: the path of the part at fault, and one clear line."""


class OrderRefused(Exception):  # noqa: N818  the order is refused; nothing failed
    """``path`` is ``signature`` or a path into the configuration; the text of the error is ``reason``."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason
