"""One entry of a timeline: a fault with its time and its device, or an action of a person."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from agent.domain.durations import Duration, format_duration
from agent.domain.yaml_loader import alternatives
from simulators.faults.catalogue import CATALOGUE
from simulators.faults.fault import Fault, FaultStep

ACTIONS = ("press", "push", "ack", "command")


def is_of_device(step: Mapping[str, Any]) -> bool:
    """Whether an entry as the file writes it hits one device."""
    fault = CATALOGUE.get(str(step.get("fault")))
    return fault is None or fault.subject in ("source", "device")


class Step(BaseModel):
    """A fault that begins ``at`` a time and ends after ``for``, with the fields of the fault beside it; or an
    action: ``press`` of SOURCE.BUTTON, ``push`` of a merge patch, ``ack`` of a rule's alert, ``command``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    at: Duration
    lasts: Duration | None = Field(default=None, alias="for")
    name: str | None = None
    device: str | None = None
    source: str | None = None
    fault: SerializeAsAny[Fault] | None = None
    press: str | None = Field(default=None, pattern=r"^[^.]+\.[^.]+$")
    push: dict[str, Any] | None = None
    ack: str | None = None
    """The rule whose active alerts are answered."""
    command: str | None = None
    fields: dict[str, Any] = Field(default_factory=dict, alias="with")
    """The fields of the command or of the answer."""
    _number: int = PrivateAttr(default=0)

    @model_validator(mode="before")
    @classmethod
    def _with_fault(cls, value: Any) -> Any:
        """Reads the fault's own fields, which stand beside those of the entry."""
        if not isinstance(value, Mapping) or not isinstance(value.get("fault"), str):
            return value
        kind = value["fault"]
        if kind not in CATALOGUE:
            raise ValueError(f"unknown fault {kind!r}; {alternatives(kind, CATALOGUE)}")
        known = {*cls.model_fields, "for", "with"}
        own = {key: one for key, one in value.items() if key not in known}
        try:
            fault = CATALOGUE[kind].model_validate(own)
        except ValidationError as error:
            raise ValueError(_fault_error(kind, error)) from error
        return {**{key: one for key, one in value.items() if key in known}, "fault": fault}

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        done = [what for what in ("fault", *ACTIONS) if getattr(self, what) is not None]
        if len(done) != 1:
            raise ValueError(
                f"one thing at a time: fault, {', '.join(ACTIONS)}; here: {', '.join(done) or 'none'}"
            )
        if self.lasts is None and (self.press is not None or (self.fault and not self.fault.instant)):
            raise ValueError(f"{self.kind} needs its duration, such as for: 3s")
        if self.lasts is not None and done[0] in ("push", "ack", "command"):
            raise ValueError(f"{done[0]} is an instant, without 'for'")
        if self.fields and done[0] not in ("ack", "command"):
            raise ValueError("'with' belongs to ack and command")
        return self

    @property
    def number(self) -> int:
        """In the timeline, from 0."""
        return self._number

    @property
    def at_s(self) -> float:
        return self.at.total_seconds()

    @property
    def for_s(self) -> float:
        """From the begin to the end; 0 for an instant."""
        return self.lasts.total_seconds() if self.lasts else 0.0

    @property
    def end_s(self) -> float:
        return self.at_s + self.for_s

    @property
    def kind(self) -> str:
        """The kind of the fault, or the action."""
        return (
            self.fault.kind if self.fault else next(one for one in ACTIONS if getattr(self, one) is not None)
        )

    def numbered(self, number: int) -> "Step":
        """The entry with its number in the timeline."""
        copy = self.model_copy()
        copy._number = number
        return copy

    def fault_step(self, source_kind: str = "") -> FaultStep:
        """The fault's place in the timeline, as it is played; ``source_kind``: as in the configuration."""
        for_s = self.for_s if self.lasts else None
        return FaultStep(self.number, self.device, self.source, source_kind=source_kind, for_s=for_s)

    def describe(self, source_kind: str = "") -> str:
        """What happens, for people: ``post-1: the cable of the GNSS receiver gnss is pulled, for 14 s``."""
        if self.fault is not None:
            return self.fault.describe(self.fault_step(source_kind))
        whose = f"{self.device}: " if self.device else ""
        lasts = f", for {format_duration(self.lasts)}" if self.lasts else ""
        if self.press is not None:
            source, _, button = self.press.partition(".")
            event = f"somebody presses {button.replace('_', ' ')} of {source}"
        elif self.push is not None:
            event = f"a push changes {', '.join(self.push)}"
        elif self.ack is not None:
            event = f"the alert of {self.ack} is answered"
        else:
            event = f"the command {self.command} is sent"
        return f"{whose}{event}{lasts}"

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> dict[str, Any]:
        """As a file writes it: the fault's own fields beside those of the entry."""
        written = {key: one for key, one in handler(self).items() if one not in (None, {})}
        if self.fault is not None:
            own = self.fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            written |= {"fault": self.fault.kind, **own}
        return written

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Each fault with its own fields beside those of the entry."""
        reference = handler(core)
        schema = handler.resolve_ref_schema(reference)
        schema.pop("additionalProperties", None)
        schema["properties"]["fault"] = {"enum": sorted(CATALOGUE), "type": "string"}
        schema["allOf"] = [
            {
                "if": {"properties": {"fault": {"const": kind}}, "required": ["fault"]},
                "then": {"properties": _own_properties(fault)},
            }
            for kind, fault in sorted(CATALOGUE.items())
        ]
        schema["unevaluatedProperties"] = False
        return reference


def _own_properties(fault: type[Fault]) -> dict[str, Any]:
    """The properties of the fault's own fields. Faults have plain fields only, without references."""
    properties: dict[str, Any] = fault.model_json_schema().get("properties", {})
    return properties


def _fault_error(kind: str, error: ValidationError) -> str:
    detail = error.errors(include_url=False)[0]
    where = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{kind} has no field {where!r}; {alternatives(where, CATALOGUE[kind].model_fields)}"
    return f"{kind}: {where + ': ' if where else ''}{detail['msg'].removeprefix('Value error, ')}"
