"""Files of other projects in the page are the ones listed, with their licences."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from musicllm.serve import page

STATIC = Path(page.__file__).parent / "static"
VENDOR = STATIC / "vendor"
LISTED = json.loads((VENDOR / "vendor.json").read_text("utf-8"))


def test_each_file_is_listed_with_its_content_and_licence() -> None:
    checksums = {}
    for entry in LISTED:
        checksums[entry["file"]] = entry["sha256"]
        for package in entry["packages"]:
            assert package["version"]
            assert package["licence"] in ("MIT", "Apache-2.0")
            checksums[package["licence_file"]] = package["licence_sha256"]
    present = {path.name for path in VENDOR.iterdir()} - {"vendor.json"}
    assert present == set(checksums)
    for name, checksum in checksums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == checksum, name


def test_modules_import_nothing_but_files_of_the_page() -> None:
    for path in STATIC.rglob("*.js"):
        if path.parent == VENDOR:
            continue
        for line in path.read_text("utf-8").splitlines():
            if line.startswith(("import ", "} from ")) and " from " in line:
                target = line.rsplit(" from ", 1)[1].strip("\"';")
                assert target.startswith("."), f"{path}: {line}"
                assert (path.parent / target).resolve().is_file(), f"{path}: {line}"
