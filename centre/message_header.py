"""The fields of a message that must be right before it is stored."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class MessageHeader(BaseModel):
    """The fields that must be valid before a message is stored; readers judge the others."""

    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(min_length=1, max_length=64)
    device: str = Field(min_length=1, max_length=64)
    kind: str = Field(default="", alias="schema", max_length=64)
    session: int = Field(default=0, ge=0, lt=2**63)
    epoch: str = Field(min_length=1, max_length=64)
    seq: int = Field(ge=1, lt=2**63)
    at: str = Field(max_length=64)
    restamped_by_s: float | None = None

    def is_same(self, other: "MessageHeader") -> bool:
        """Whether both head one message; its corrected time may differ."""
        own_key, other_key = (
            (one.kind, one.device, one.session, one.epoch, one.seq, one.id) for one in (self, other)
        )
        corrected = self.restamped_by_s is not None or other.restamped_by_s is not None
        return own_key == other_key and (corrected or self.at == other.at)


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One received message, before it is stored."""

    topic: str
    header: MessageHeader
    payload: bytes
