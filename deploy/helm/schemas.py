#!/usr/bin/env python3
"""Writes the schemas of all kinds for kubeconform: `kubectl get --raw /openapi/v2 | schemas.py DIRECTORY`."""

import json
import os
import sys

KEPT = ("type", "enum", "required")
# What is written as a number or as text.
EITHER = {"IntOrString": ["string", "integer"], "Quantity": ["string", "number"]}


def inlined(definitions, schema, above):
    """`schema` with its references replaced, strict: a member that is not there is an error."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in above:
            return {}
        either = EITHER.get(name.rsplit(".", 1)[1])
        return {"type": either} if either else inlined(definitions, definitions[name], above | {name})
    made = {key: schema[key] for key in KEPT if key in schema}
    if "properties" in schema:
        made["properties"] = {key: inlined(definitions, value, above) for key, value in schema["properties"].items()}
        made["additionalProperties"] = False
    elif "additionalProperties" in schema:
        made["additionalProperties"] = inlined(definitions, schema["additionalProperties"], above)
    if "items" in schema:
        made["items"] = inlined(definitions, schema["items"], above)
    return made


def main():
    definitions = json.load(sys.stdin)["definitions"]
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if "kind" not in definition.get("properties", {}):
                continue
            made = inlined(definitions, definition, frozenset([name]))
            version = f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]
            made["properties"]["apiVersion"] = {"enum": [version]}
            made["properties"]["kind"] = {"enum": [kind["kind"]]}
            group = kind["group"].split(".")[0]
            file = "-".join(part for part in (kind["kind"].lower(), group, kind["version"]) if part) + ".json"
            with open(os.path.join(sys.argv[1], file), "w", encoding="utf-8") as out:
                json.dump(made, out)


if __name__ == "__main__":
    main()
