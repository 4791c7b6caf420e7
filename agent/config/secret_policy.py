"""What a push may do with this device's secrets: use each as the local file does, and nowhere else.

A push names the servers that the device connects to, and could name any file that the agent can read: both
together would send that file to any server. A TLS key never leaves the device: a push may change it.
"""

import os.path
from collections.abc import Iterator
from pathlib import Path

from agent.config.model import Config
from agent.vision.camera import Camera
from agent.vision.camera_url import is_inside, source_kind
from firmware_bridge.secret import Secret


def secret_violations(pushed: Config, local: Config, base: Path) -> Iterator[tuple[str, str]]:
    """(path, error) of each secret that ``local``, the file in ``base``, does not use in the same way."""
    allowed = {(secret, to) for _, secret, recipients in _uses(local) for to in recipients}
    for path, secret, recipients in _uses(pushed):
        for to in recipients:
            if (secret, to) not in allowed:
                where = f" to {to}" if to else ""
                yield (
                    path,
                    f"a push can't give this secret{where}: the file at the device does not; edit it there",
                )
    own = {source.url for source in local.sources.values() if isinstance(source, Camera)}
    folder = local.data.video_folder
    for name, source in pushed.sources.items():
        if not isinstance(source, Camera) or source.url in own or source_kind(source.url) != "file":
            continue
        if folder is None or not is_inside(Path(source.url), folder):
            right = f"below {folder}" if folder else "once the file at the device names a data.video_folder"
            yield f"sources.{name}.url", f"a push can name a file as camera only {right}"
    key = pushed.broker.key
    if key is not None and key.file is not None and key != local.broker.key:
        file = Path(os.path.normpath(key.file))
        if not file.is_relative_to(os.path.normpath(base)):
            yield (
                "broker.key",
                "a push can name a key in the folder of the file at the device, or a credential",
            )


def secret_notes(config: Config) -> Iterator[str]:
    """One line that names the secrets which a push can't change or send elsewhere."""
    bound = ", ".join(path for path, _, _ in _uses(config))
    if bound:
        yield f"{bound}: a push can't name another secret or send it elsewhere; for that, edit this file"


def _uses(config: Config) -> Iterator[tuple[str, Secret, list[str]]]:
    """(path, secret, recipients) of each secret except the broker's key; "" for a key that never leaves."""
    broker = config.broker
    if broker.password is not None:
        ca = f" under {broker.ca}" if broker.ca else ""
        yield "broker.password", broker.password, [f"{address.origin}{ca}" for address in broker.in_order]
    for name, source in config.sources.items():
        for field, secret in dict(source).items():
            if isinstance(secret, Secret):
                yield f"sources.{name}.{field}", secret, list(source.secret_origins())
