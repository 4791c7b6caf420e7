"""A scenario as the YAML of its file: of a report, and of the shortest timeline that still fails."""

from io import StringIO
from typing import Any

from simulators.scenario.model import Scenario


def scenario_fields(scenario: Scenario) -> dict[str, Any]:
    """The scenario as a file writes it, without what is absent."""
    fields = scenario.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    fields = {"schema": scenario.schema_, "name": scenario.name, **fields, "clock": scenario.clock}
    cleaned: dict[str, Any] = _without_none(fields)
    return cleaned


def scenario_text(scenario: Scenario) -> str:
    """The YAML that `simulators.scenario.loader` reads as this scenario."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 110
    yaml.default_flow_style = None
    out = StringIO()
    yaml.dump(scenario_fields(scenario), out)
    return out.getvalue()


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_none(one) for one in value]
    return value
