#!/usr/bin/env python3
"""Writes what the binary is made of as a CycloneDX 1.6 document: `sbom.py TARGET > keystile.cdx.json`.

Every crate that is linked into the binary for that target; not what only builds or tests it. The same lock file gives the
same bytes.
"""

import json
import re
import subprocess
import sys

ROOT = "keystile"


def built(target):
    """Name and version of every crate in the tree that cargo builds; `cargo metadata` also has those of features that are off."""
    command = ["cargo", "tree", "--locked", "--package", ROOT, "--target", target, "--prefix", "none"]
    tree = subprocess.run([*command, "--edges", "normal,no-proc-macro"], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^(\S+) v(\S+)", tree, re.M))


def linked(metadata, wanted):
    """The packages that are linked into ROOT, with their direct dependencies."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    in_tree = {package["id"] for package in metadata["packages"] if (package["name"], package["version"]) in wanted}
    (root,) = [package["id"] for package in metadata["packages"] if package["name"] == ROOT]
    found, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package not in found:
            found[package] = sorted(
                dependency["pkg"]
                for dependency in nodes[package]["deps"]
                if dependency["pkg"] in in_tree and any(kind["kind"] is None for kind in dependency["dep_kinds"])
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
    (target,) = sys.argv[1:]
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    checksums = lock_file(metadata["workspace_root"] + "/Cargo.lock")
    packages = {package["id"]: package for package in metadata["packages"]}
    root, found = linked(metadata, built(target))
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
