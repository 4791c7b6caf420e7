"""``ringpost devices``: serial ports and cameras, with stable names and the processes that hold them.

The list is read from /sys and /dev without opening a device; only ``--listen`` opens ports.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from agent.control.any_protocol import live_line
from agent.domain.message import encode
from agent.runtime.error_text import error_reason
from firmware_bridge.catalogue import kinds
from firmware_bridge.readings import LineState, Value
from firmware_bridge.serial.holders import PROC, held_by

Kind: TypeAlias = Literal["serial", "camera"]
CLASSES: dict[Kind, tuple[str, str]] = {"serial": ("tty", "serial"), "camera": ("video4linux", "v4l")}
"""The class in /sys, and the directory of stable names in /dev."""
CONSOLE = "in use as the kernel console; disable that first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device; ``use`` is the name for a configuration. The field names are the keys of ``--json``."""

    kind: Kind
    use: str
    path: str
    description: str
    by_id: str | None = None
    by_path: str | None = None
    held_by: tuple[str, ...] = ()
    note: str | None = None
    heard: str | None = None
    protocols: tuple[str, ...] = ()
    """Framings with valid packets, the most frequent first: nmea, ubx, mavlink, cobs, vedirect."""
    values: tuple[str, ...] = ()
    """Kinds of value that were decoded, such as fix, vessel, reading."""
    baud: int | None = None


def devices_command(listen_s: float | None, as_json: bool) -> int:
    """Prints each device; with ``listen_s`` also the protocols detected on free serial ports."""
    found = list(devices())
    if listen_s:
        found = asyncio.run(listen(found, listen_s))
    for device in found:
        if as_json:
            fields = {key: value for key, value in asdict(device).items() if value not in (None, ())}
            print(encode(fields).decode(), flush=True)
        else:
            print("\n".join(_format(device)), flush=True)
    if not found and not as_json:
        print("no serial ports or cameras found")
    return 0


def devices(dev: Path = Path("/dev"), sys: Path = Path("/sys"), proc: Path = PROC) -> Iterator[Device]:
    """The devices present, from the kernel file systems mounted at ``dev``, ``sys`` and ``proc``."""
    for kind, (folder, names) in CLASSES.items():
        ids, paths = (_stable_names(dev / names / how) for how in ("by-id", "by-path"))
        entries = [
            entry for entry in sorted((sys / "class" / folder).glob("*"), key=_sort_key) if _is_real(entry)
        ]
        serials = Counter(_identity(entry) for entry in entries)
        for entry in entries:
            path = dev / entry.name
            twins = _identity(entry) is not None and serials[_identity(entry)] > 1
            by_id, by_path = ids.get(entry.name), paths.get(entry.name)
            use = (by_path if twins else by_id or by_path) or str(path)
            yield Device(
                kind=kind,
                use=use,
                path=str(path),
                description=_describe(entry),
                by_id=by_id,
                by_path=by_path,
                held_by=tuple(held_by(path, proc)),
                note=_note(entry, twins, bare=use == str(path)),
            )


def _stable_names(folder: Path) -> dict[str, str]:
    """Maps a device name to the stable name that links to it."""
    links = sorted(folder.iterdir()) if folder.is_dir() else []
    return {link.readlink().name: str(link) for link in links if link.is_symlink()}


def _is_real(entry: Path) -> bool:
    """Whether the entry is hardware: not a terminal, an absent UART, or a metadata node of a camera."""
    return (
        (entry / "device").exists()
        and _read_attribute(entry / "type") != "0"
        and _read_attribute(entry / "index") in ("", "0")
    )


def _sort_key(entry: Path) -> tuple[str, int]:
    name = entry.name.rstrip("0123456789")
    return name, int(entry.name[len(name) :] or 0)


def _usb(entry: Path) -> Path | None:
    """The USB device of an entry."""
    device = (entry / "device").resolve()
    return next((part for part in (device, *device.parents[:4]) if (part / "idVendor").exists()), None)


def _identity(entry: Path) -> tuple[str, ...] | None:
    """Equal for two adapters with the same serial number; different for two ports of one adapter."""
    usb = _usb(entry)
    if usb is None:
        return None
    interface = _read_attribute((entry / "device").resolve() / "bInterfaceNumber") or _read_attribute(
        (entry / "device").resolve().parent / "bInterfaceNumber"
    )
    return *(_read_attribute(usb / name) for name in ("idVendor", "idProduct", "serial")), interface


def _describe(entry: Path) -> str:
    usb = _usb(entry)
    if usb is not None:
        words = [_read_attribute(usb / name) for name in ("manufacturer", "product", "serial")]
        return " ".join(
            [
                *filter(None, words),
                f"({_read_attribute(usb / 'idVendor')}:{_read_attribute(usb / 'idProduct')})",
            ]
        )
    driver = (entry / "device" / "driver").resolve().name if (entry / "device" / "driver").exists() else ""
    return _read_attribute(entry / "name") or driver or "built in"


def _note(entry: Path, twins: bool, bare: bool) -> str | None:
    if _read_attribute(entry / "console") == "Y":
        return CONSOLE
    if twins:
        return "another adapter has the same serial number; use the name by path"
    if bare and _usb(entry) is not None:
        return "no stable name: it may change when replugged; is udev running?"
    return None


def _read_attribute(file: Path) -> str:
    try:
        return " ".join(file.read_text(errors="replace").split())
    except OSError:
        return ""


async def listen(found: list[Device], seconds: float) -> list[Device]:
    """Detects the protocol on each free serial port, on all concurrently."""
    return list(await asyncio.gather(*(_listen_on(device, seconds) for device in found)))


async def _listen_on(device: Device, seconds: float) -> Device:
    if device.kind != "serial" or device.held_by or device.note == CONSOLE:
        return device
    state, values = LineState(), set[str]()

    def emit(value: Value) -> None:
        nonlocal state
        if isinstance(value, LineState):
            state = value
        else:
            values.add(value.kind)

    try:
        async with asyncio.timeout(seconds):
            await live_line(device.path, tuple(sorted(kinds())), silent_after_s=2 * seconds).run(emit)
    except TimeoutError:
        pass
    except OSError as error:
        return replace(device, heard=error_reason(error))
    good = ", ".join(f"{name} ({count} packets)" for name, count in sorted(state.good.items()))
    if good:
        heard = f"{good}{f' at {state.baud} baud' if state.baud else ''}"
        protocols = tuple(sorted(state.good, key=state.good.__getitem__, reverse=True))
        kinds_found = tuple(sorted(values))
        return replace(device, heard=heard, protocols=protocols, values=kinds_found, baud=state.baud)
    received = f"{state.skipped_bytes} unrecognised bytes" if state.skipped_bytes else "no data"
    return replace(device, heard=f"{received} in {seconds:g} s")


def _format(device: Device) -> Iterator[str]:
    yield f"{device.kind:7} {device.use}"
    names = [name for name in (device.path, device.by_id, device.by_path) if name not in (None, device.use)]
    yield f"        {device.description}"
    yield from (f"        also {name}" for name in names)
    if device.held_by:
        yield f"        held by {', '.join(device.held_by)}"
    if device.heard:
        yield f"        received: {device.heard}"
    if device.note:
        yield f"        {device.note}"
