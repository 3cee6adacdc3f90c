"""Every damage is seen by the check that is named for it, and a sound file by none."""

from __future__ import annotations

from pathlib import Path

import pytest
from db.damage import DAMAGES, build

from vstore.db.check import check_file


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "memory.db"
    build(path)
    return path.read_bytes()


@pytest.fixture
def rich(original: bytes, path: Path) -> Path:
    path.write_bytes(original)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_file_passes_every_check(rich: Path, deep: bool) -> None:
    report = check_file(rich, deep=deep)
    assert [(check.name, check.found) for check in report.checks if check.status not in ("ok", "not checked")] == []
    assert {check.found for check in report.checks if check.status == "not checked"} == (
        set() if deep else {"takes --deep"}
    )


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damage_is_seen_by_the_check_that_is_named_for_it(rich: Path, name: str) -> None:
    damage = DAMAGES[name]
    damage(rich)
    plain, deep = check_file(rich), check_file(rich, deep=True)
    assert deep[damage.seen_by].status == "failed", {check.name: check.found for check in deep.failed}
    assert plain.ok if damage.deep else plain[damage.seen_by].status == "failed"
    assert (deep[damage.seen_by].repairable == deep[damage.seen_by].affected) == damage.mended
