#!/usr/bin/env python3
"""Packs a directory into an image of one layer, without a container engine.

    pack.py ROOT OUT.tar --name NAME:TAG --entrypoint PROGRAM [--user UID:GID] [--label NAME=VALUE] …

OUT.tar is an OCI image layout that is also what `docker load` reads. The same files give the same bytes: times are
zero, owners are root, names are sorted.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import stat
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def entry(name, mode, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, size
    info.uname = info.gname = ""
    return info


def layer(root):
    """The files below `root` as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for directory, directories, files in os.walk(root):
            directories.sort()
            inside = os.path.relpath(directory, root)
            if inside != ".":
                tar.addfile(entry(inside, 0o755, tarfile.DIRTYPE))
            for name in sorted(files):
                path = os.path.join(directory, name)
                executable = os.stat(path).st_mode & stat.S_IXUSR
                with open(path, "rb") as file:
                    content = file.read()
                info = entry(os.path.normpath(os.path.join(inside, name)), 0o755 if executable else 0o644, size=len(content))
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def full_name(name):
    """`name` with its registry and library, as container runtimes know it."""
    first = name.split("/")[0]
    if "/" in name and (first == "localhost" or "." in first or ":" in first):
        return name
    return "docker.io/" + (name if "/" in name else "library/" + name)


class Archive:
    """What OUT.tar will hold: blobs by digest, and the documents that name them."""

    def __init__(self):
        self.files = {}

    def blob(self, content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        self.files["blobs/sha256/" + digest] = content
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content)}

    def document(self, name, value):
        self.files[name] = json.dumps(value, sort_keys=True).encode()

    def write(self, out):
        with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
            for directory in ("blobs", "blobs/sha256"):
                tar.addfile(entry(directory, 0o755, tarfile.DIRTYPE))
            for name, content in sorted(self.files.items()):
                tar.addfile(entry(name, 0o644, size=len(content)), io.BytesIO(content))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root")
    parser.add_argument("out")
    parser.add_argument("--name", required=True)
    parser.add_argument("--entrypoint", required=True)
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("--label", action="append", default=[])
    options = parser.parse_args()

    files = layer(options.root)
    packed = gzip.compress(files, compresslevel=9, mtime=0)
    config = {"Entrypoint": [options.entrypoint], "User": options.user, "WorkingDir": "/"}
    if options.label:
        config["Labels"] = dict(label.split("=", 1) for label in options.label)
    image = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(files).hexdigest()]},
        "history": [{"created_by": "deploy/image/pack.py", "created": "1970-01-01T00:00:00Z"}],
    }

    oci = "application/vnd.oci.image."
    archive = Archive()
    layer_blob = archive.blob(packed, oci + "layer.v1.tar+gzip")
    config_blob = archive.blob(json.dumps(image, sort_keys=True).encode(), oci + "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": oci + "manifest.v1+json", "config": config_blob, "layers": [layer_blob]}
    manifest_blob = archive.blob(json.dumps(manifest, sort_keys=True).encode(), oci + "manifest.v1+json")
    manifest_blob["annotations"] = {
        "io.containerd.image.name": full_name(options.name),
        "org.opencontainers.image.ref.name": options.name.rsplit(":", 1)[1],
    }
    archive.document("oci-layout", {"imageLayoutVersion": "1.0.0"})
    archive.document("index.json", {"schemaVersion": 2, "mediaType": oci + "index.v1+json", "manifests": [manifest_blob]})
    where = lambda blob: "blobs/sha256/" + blob["digest"].removeprefix("sha256:")
    archive.document("manifest.json", [{"Config": where(config_blob), "RepoTags": [options.name], "Layers": [where(layer_blob)]}])
    archive.write(options.out)
    print(f"{options.out}: {options.name} {manifest_blob['digest']}, layer {len(files)} bytes, {len(packed)} packed")


if __name__ == "__main__":
    main()
