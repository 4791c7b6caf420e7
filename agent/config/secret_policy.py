"""What a push may do with this device's secrets: use each as the file at the device does, and nowhere else.

A push says where the device connects, and could name any file that the agent can read: both together would
send that file to whomever the push names. A TLS key never leaves the device: it may be changed by push.
"""

import os.path
from collections.abc import Iterator
from pathlib import Path

from agent.config.model import Config
from agent.vision.camera import Camera
from agent.vision.camera_url import below, kind_of
from firmware_bridge.secret import Secret


def misused(pushed: Config, local: Config, base: Path) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of each secret that ``local``, the file in ``base``, does not use in this way."""
    allowed = {(secret, to) for _, secret, places in _uses(local) for to in places}
    for path, secret, places in _uses(pushed):
        for to in places:
            if (secret, to) not in allowed:
                where = f" to {to}" if to else ""
                yield (
                    path,
                    f"a push can't give this secret{where}: the file at the device does not; edit it there",
                )
    own = {source.url for source in local.sources.values() if isinstance(source, Camera)}
    folder = local.data.video_folder
    for name, source in pushed.sources.items():
        if not isinstance(source, Camera) or source.url in own or kind_of(source.url) != "file":
            continue
        if folder is None or not below(Path(source.url), folder):
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


def notes(config: Config) -> Iterator[str]:
    """What a push can't change of this file, for whoever writes it."""
    bound = ", ".join(path for path, _, _ in _uses(config))
    if bound:
        yield f"{bound}: a push can't name another secret or send it elsewhere; for that, edit this file"


def _uses(config: Config) -> Iterator[tuple[str, Secret, list[str]]]:
    """(path, secret, where it is sent) of all but the broker's key; "" is nowhere, for a key that checks."""
    broker = config.broker
    if broker.password is not None:
        ca = f" under {broker.ca}" if broker.ca else ""
        yield "broker.password", broker.password, [f"{one.origin}{ca}" for one in broker.in_order]
    for name, source in config.sources.items():
        for field, secret in dict(source).items():
            if isinstance(secret, Secret):
                yield f"sources.{name}.{field}", secret, [source.secret_origin()]
