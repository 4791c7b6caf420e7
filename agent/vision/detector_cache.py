"""Loaded detectors, shared by all who hold them."""

import threading
import weakref

from models.card import Card
from models.session import Loaded


class DetectorCache:
    """A detector is loaded once, and released with the last reference to it. Thread-safe."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._loading: dict[str, threading.Lock] = {}
        self._loaded: weakref.WeakValueDictionary[str, Loaded] = weakref.WeakValueDictionary()

    def load(self, card: Card, within_s: float = 60.0) -> Loaded:
        """The detector of ``card``, shared by all who hold it. OSError or ValueError as `Card.load`.

        TimeoutError where another thread has been loading it for ``within_s`` seconds: that may hang, and is
        not started again. Detectors of other cards do not wait for it.
        """
        key = card.model_dump_json()
        with self.lock:
            loading = self._loading.setdefault(key, threading.Lock())
        if not loading.acquire(timeout=within_s):
            raise TimeoutError(f"{card.name} has been loading for more than {within_s:g} s: it hangs")
        try:
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = card.load()
            return loaded
        finally:
            loading.release()
