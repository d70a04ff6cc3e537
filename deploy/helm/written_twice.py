#!/usr/bin/env python3
"""Holds together what the chart says in two places.

* The table of values in the chart's README is made from values.yaml.
* values.schema.json knows every value, and no other.
* The chart's alerts are those of the book.
* Alerts and dashboard ask for metrics that there are.

`--bless` writes the table and the chart's copy of the alerts anew.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/keystile"
BEGIN, END = "<!-- values -->", "<!-- end of values -->"
LINE = re.compile(r"^( *)([A-Za-z]+):(?: (.*))?$")


def values():
    """(path, default, description) of each value that values.yaml describes."""
    rows, path, said, nested = [], [], [], None
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            said = [text[5:]]
        elif text.startswith("#") and said:
            said.append(text[2:])
        elif match := LINE.match(line):
            depth = len(match[1]) // 2
            path = path[:depth] + [match[2]]
            if said:
                rows.append((".".join(path), match[3] if match[3] is not None else None, " ".join(said)))
                nested = rows[-1] if match[3] is None else None
            elif nested and ".".join(path).startswith(nested[0] + "."):
                parts = [] if nested[1] is None else [nested[1].strip("{}")]
                at = rows.index(nested)
                key = ".".join(path)[len(nested[0]) + 1 :]
                nested = (nested[0], "{" + ", ".join(parts + [f"{key}: {match[3]}"]) + "}", nested[2])
                rows[at] = nested
            else:
                nested = None
            said = []
    return rows


def table():
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, meaning in values():
        shown = (default or "").replace("|", "\\|")
        lines.append(f"| `{path}` | `{shown}` | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def readme(bless):
    path = CHART / "README.md"
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    made = f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
    if bless:
        path.write_text(made, encoding="utf-8")
    elif made != text:
        yield "the table of values in README.md is not that of values.yaml"


def leaves(schema, path=()):
    if schema.get("additionalProperties") is False:
        for name, below in schema["properties"].items():
            yield from leaves(below, (*path, name))
    else:
        yield ".".join(path)


def schema():
    known = set(leaves(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))) - {"global"}
    described = {path for path, _, _ in values()}
    covered = lambda path: any(path == row or path.startswith(row + ".") for row in described)
    for path in sorted(known):
        if not covered(path) and not path.startswith("settings"):
            yield f"values.schema.json knows {path}, which values.yaml does not describe"
    for path in sorted(described):
        if not any(leaf == path or leaf.startswith(path + ".") for leaf in known):
            yield f"values.yaml has {path}, which values.schema.json refuses"


def alerts(bless):
    book, copy = ROOT / "docs/how-to/alerts.yaml", CHART / "files/alerts.yaml"
    if bless:
        copy.write_bytes(book.read_bytes())
    elif book.read_bytes() != copy.read_bytes():
        yield "files/alerts.yaml is not docs/how-to/alerts.yaml"


def metrics():
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(keystile_\w+)`", page, re.MULTILINE))
    known |= {name + "_total" for name in known}
    for name in ("alerts.yaml", "dashboard.json"):
        for metric in sorted(set(re.findall(r"keystile_\w+", (CHART / "files" / name).read_text(encoding="utf-8")))):
            if metric not in known:
                yield f"files/{name} asks for {metric}, which no gateway has"


def main():
    bless = "--bless" in sys.argv
    wrong = [*readme(bless), *schema(), *alerts(bless), *metrics()]
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
