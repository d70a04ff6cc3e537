#!/usr/bin/env python3
"""Writes what the binary is made of as a CycloneDX 1.6 document: `cargo metadata … | sbom.py > keystile.cdx.json`.

Every crate that is linked into the binary for the target that cargo was asked about; not what only builds or tests it.
The same lock file gives the same bytes.
"""

import json
import sys

ROOT = "keystile"


def linked(metadata):
    """The packages that are linked into ROOT, with their direct dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    # A procedural macro runs in the compiler; neither it nor what it needs is in the binary.
    macros = {
        package["id"]
        for package in metadata["packages"]
        if any("proc-macro" in target["kind"] for target in package["targets"])
    }
    (root,) = [package["id"] for package in metadata["packages"] if package["name"] == ROOT]
    found, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package not in found:
            found[package] = sorted(
                dependency["pkg"]
                for dependency in nodes[package]["deps"]
                if dependency["pkg"] not in macros and any(kind["kind"] is None for kind in dependency["dep_kinds"])
            )
            waiting.extend(found[package])
    return root, found


def component(package, checksums, kind="library"):
    name, version = package["name"], package["version"]
    made = {
        "type": kind,
        "bom-ref": f"pkg:cargo/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
    }
    if package.get("license"):
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in checksums:
        made["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return made


def lock_file(path):
    """The checksum of every package in Cargo.lock."""
    checksums, name, version = {}, None, None
    with open(path, encoding="utf-8") as lock:
        for line in lock:
            key, _, value = line.strip().partition(" = ")
            if key == "name":
                name = value.strip('"')
            elif key == "version":
                version = value.strip('"')
            elif key == "checksum":
                checksums[name, version] = value.strip('"')
    return checksums


def main():
    metadata = json.load(sys.stdin)
    checksums = lock_file(metadata["workspace_root"] + "/Cargo.lock")
    packages = {package["id"]: package for package in metadata["packages"]}
    root, found = linked(metadata)
    reference = lambda package: f"pkg:cargo/{packages[package]['name']}@{packages[package]['version']}"
    components = [component(packages[package], checksums) for package in found if package != root]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(packages[root], checksums, "application")},
        "components": sorted(components, key=lambda made: made["bom-ref"]),
        "dependencies": sorted(
            (
                {"ref": reference(package), "dependsOn": sorted(map(reference, direct))}
                for package, direct in found.items()
            ),
            key=lambda made: made["ref"],
        ),
    }
    json.dump(document, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
