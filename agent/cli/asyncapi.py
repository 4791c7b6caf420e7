"""``ringpost schema --mqtt``: the MQTT interface as an AsyncAPI 3 document."""

from typing import Any

from agent.commands.requests import (
    Ack,
    Command,
    DrillRequest,
    Fetch,
    OutputCommand,
    Probe,
    RescueModeRequest,
    Resend,
    RestartPart,
    RotateCertificate,
    SilenceAlert,
    Snapshot,
    WhatIf,
)
from agent.config.push_check import Desired
from agent.domain.message import ROOT
from agent.privacy.rescue_grant import Grant
from agent.reporting.birth import software_version

# topic: (direction, QoS, retained, description)
TOPICS: dict[str, tuple[str, int, bool, str]] = {
    "status": ("up", 1, True, "online, degraded with reasons, stopped; the last will: offline"),
    "birth": ("up", 1, True, "kind, place, duty, capabilities, software and model hashes, units"),
    "health": ("up", 1, True, "per part: running, sending data, data valid; host, link, outbox backlog"),
    "position": ("up", 0, True, "the latest position with mode, age and stale_after_s"),
    "telemetry/{source}": ("up", 1, False, "batched readings, with expiry"),
    "alert": ("up", 1, False, "new, update, end of one alert, by alert_id; phase drill: no alert, see docs"),
    "alerts/active": ("up", 1, True, "the full list of active alerts, for late subscribers"),
    "media/{alert_id}/{n}": ("up", 1, False, "a JPEG of an alert, people redacted, metadata as JPEG comment"),
    "gap": ("up", 1, False, "dropped messages: lane, sequence range, count, reason"),
    "audit": ("up", 1, False, "a checkpoint of the audit log; wants a receipt that countersigns it"),
    "config/reported": ("up", 1, True, "result of the last push, and the active configuration"),
    "command/result": ("up", 1, False, "accepted, then succeeded or failed; rejected, expired, duplicate"),
    "receipt": ("down", 1, False, "application-level acknowledgement: ids that the centre has committed"),
    "alert/ack": ("down", 1, False, "a person's answer to an alert, with role"),
    "config/desired": ("down", 1, True, "a configuration to run, with revision and sha256"),
    "command/{name}": ("down", 1, False, "ping, output, fetch (clip), snapshot …; see docs/centre.md"),
}  # fmt: skip

PICTURES = frozenset({"media/{alert_id}/{n}"})

ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "id", "device", "session", "epoch", "seq", "at", "clock"],
    "properties": {
        "schema": {"type": "string", "examples": ["alert/1"]},
        "id": {"type": "string", "format": "uuid", "description": "UUIDv7; the same in a repeat"},
        "device": {"type": "string"},
        "session": {
            "type": "integer",
            "description": "number of the connection; identifies an outdated last will",
        },
        "epoch": {
            "type": "string",
            "description": "random; for alerts and results, new at each start of the agent",
        },
        "seq": {"type": "integer", "description": "per epoch and lane; gaps are announced"},
        "at": {"type": "string", "format": "date-time"},
        "clock": {
            "type": "object",
            "required": ["source"],
            "properties": {
                "source": {"enum": ["gnss", "ntp", "rtc", "unsynced"]},
                "error_ms": {"type": "number"},
            },
        },
        "historical": {"type": "boolean"},
        "simulated": {"type": "boolean"},
    },
}

COMMANDS = (
    Command,
    OutputCommand,
    Fetch,
    Resend,
    Grant,
    Snapshot,
    DrillRequest,
    RescueModeRequest,
    RestartPart,
    RotateCertificate,
    SilenceAlert,
)

RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["ids"],
    "properties": {
        "ids": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 64},
            "maxItems": 500,
            "description": "`id` of the messages that the centre has committed",
        },
        "checkpoint": {
            "type": "object",
            "description": "the checkpoint of the device's audit log that this receipt countersigns",
            "required": ["log", "n", "hash"],
            "properties": {
                "log": {"type": "string"},
                "n": {"type": "integer"},
                "hash": {"type": "string"},
                "received_at": {"type": "string", "format": "date-time"},
            },
        },
    },
}


def asyncapi() -> dict[str, Any]:
    """The document. Payloads to the device are the models that the agent validates them with."""
    down = {
        "receipt": RECEIPT,
        "alert/ack": Ack.model_json_schema(),
        "config/desired": Desired.model_json_schema(),
        "command/{name}": {
            "anyOf": [
                model.model_json_schema()
                for model in (
                    Command,
                    OutputCommand,
                    Fetch,
                    Resend,
                    Grant,
                    Snapshot,
                    Probe,
                    WhatIf,
                    DrillRequest,
                    SilenceAlert,
                )
            ]
        },
    }
    channels, operations = {}, {}
    for topic, (direction, qos, retain, description) in TOPICS.items():
        name = topic.replace("/", "_").replace("{", "").replace("}", "")
        parameters: dict[str, Any] = {
            parameter: {}
            for parameter in ("device", "source", "name", "alert_id", "n")
            if f"{{{parameter}}}" in f"{{device}}/{topic}"
        }
        payload = ENVELOPE if direction == "up" else down[topic]
        channels[name] = {
            "address": f"{ROOT}/{{device}}/{topic}",
            "description": description,
            "parameters": parameters,
            "messages": {name: {"contentType": "application/json", "payload": payload}}
            if topic not in PICTURES
            else {name: {"contentType": "image/jpeg"}},
            "bindings": {"mqtt": {"bindingVersion": "0.2.0"}},
        }
        operations[name] = {
            "action": "send" if direction == "up" else "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ringpost",
            "version": software_version(),
            "description": "Messages to and from a device.",
        },
        "channels": channels,
        "operations": operations,
    }
