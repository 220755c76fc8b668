"""Make the JSON Schema that lets an editor complete and check ``config/rules/*.yaml``.

Generated from the models, so it cannot differ from what ``load`` accepts in shape.
"""

from notifier.events import Json
from notifier.rules.model import RulesFile


def rules_json_schema() -> dict[str, Json]:
    """Return the schema of a rules file (JSON Schema 2020-12)."""
    schema = RulesFile.model_json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "notifier rules",
        **{key: value for key, value in schema.items() if key != "title"},
    }
