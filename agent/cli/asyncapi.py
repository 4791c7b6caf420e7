"""The MQTT interface as an AsyncAPI 3 document: ``ringpost schema --mqtt``. Written from the same words."""

from typing import Any

from agent.commands.requests import Ack, Command, Fetch, OutputCommand, Resend
from agent.config.push_check import Desired
from agent.domain.message import ROOT
from agent.privacy.rescue_grant import Grant
from agent.reporting.birth import software_version

# topic: (direction, QoS, retained, what)
TOPICS: dict[str, tuple[str, int, bool, str]] = {
    "status": ("up", 1, True, "online, degraded with reasons, stopped; also the last will: offline"),
    "birth": ("up", 1, True, "kind, place, duty, capabilities, software and model hashes, units"),
    "health": ("up", 1, True, "every part: running, speaking, valid; the machine, the link, what is owed"),
    "position": ("up", 0, True, "the latest position with mode, age and stale_after_s"),
    "telemetry/{source}": ("up", 1, False, "batched readings, with expiry"),
    "alert": ("up", 1, False, "new, update, end of one alert, by alert_id; escalation and over: see docs"),
    "alerts/active": ("up", 1, True, "the full list of what is active, for whoever comes late"),
    "media/{alert_id}/{n}": ("up", 1, False, "a JPEG of an alert, people covered, with its label as comment"),
    "gap": ("up", 1, False, "what was dropped: lane, sequence range, count, why"),
    "config/reported": ("up", 1, True, "what became of the last push, and what is in force"),
    "command/result": ("up", 1, False, "accepted, then succeeded or failed; rejected, expired, duplicate"),
    "receipt": ("down", 1, False, "from the centre after its own commit: ids of messages that it holds"),
    "alert/ack": ("down", 1, False, "a person's answer to an alert, by role"),
    "config/desired": ("down", 1, True, "a configuration to run, with revision and sha256"),
    "command/{name}": ("down", 1, False, "ping, rebirth, output, fetch a clip, rescue (show people), resend"),
}  # fmt: skip

PICTURES = frozenset({"media/{alert_id}/{n}"})

ENVELOPE: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "id", "device", "session", "epoch", "seq", "at", "clock"],
    "properties": {
        "schema": {"type": "string", "examples": ["alert/1"]},
        "id": {"type": "string", "format": "uuid", "description": "UUIDv7; a repeat carries the same"},
        "device": {"type": "string"},
        "session": {
            "type": "integer",
            "description": "counts connections; tells a late will from a new life",
        },
        "epoch": {
            "type": "string",
            "description": "random; for alerts and results one for each start of the agent",
        },
        "seq": {"type": "integer", "description": "per epoch and lane; no gaps but announced ones"},
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

RECEIPT: dict[str, Any] = {
    "type": "object",
    "required": ["ids"],
    "properties": {
        "ids": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 64},
            "maxItems": 500,
            "description": "the `id` of messages that the centre has committed",
        },
    },
}


def asyncapi() -> dict[str, Any]:
    """The document. Payloads down are the very models that the agent checks them with."""
    down = {
        "receipt": RECEIPT,
        "alert/ack": Ack.model_json_schema(),
        "config/desired": Desired.model_json_schema(),
        "command/{name}": {
            "anyOf": [one.model_json_schema() for one in (Command, OutputCommand, Fetch, Resend, Grant)]
        },
    }
    channels, operations = {}, {}
    for topic, (direction, qos, retain, what) in TOPICS.items():
        name = topic.replace("/", "_").replace("{", "").replace("}", "")
        parameters: dict[str, Any] = {
            word: {}
            for word in ("device", "source", "name", "alert_id", "n")
            if f"{{{word}}}" in f"{{device}}/{topic}"
        }
        payload = ENVELOPE if direction == "up" else down[topic]
        channels[name] = {
            "address": f"{ROOT}/{{device}}/{topic}",
            "description": what,
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
            "description": "What a device says and hears.",
        },
        "channels": channels,
        "operations": operations,
    }
