"""Files that usually hold secrets are left out of folders and named; a file that is named itself is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy import ToyEmbedder

from vstore import Store
from vstore.ingest.ignore import may_hold_secrets

REPORTED = (
    ".env",
    ".env.production",
    "prod.env",
    "id_rsa",
    "ID_ED25519.bak",
    "server.pem",
    "Server.KEY",
    "store.jks",
    "release.keystore",
    "vault.kdbx",
    "cert.p12",
    "cert.pfx",
    "putty.ppk",
    "AuthKey.p8",
    "krb5.keytab",
    "backup.gpg",
    "office.ovpn",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "client_secret_5.json",
    "service-account-prod.json",
    "secrets.yaml",
    "kubeconfig",
    "terraform.tfstate",
    "prod.tfvars",
    "wallet.dat",
    "logins.json",
    "key4.db",
    "cookies.sqlite",
    "Login Data",
)
ORDINARY = (
    "environment.md",
    "keys.md",
    "id_card.txt",
    "credentials.md",
    "secret-garden.txt",
    "monkey.txt",
    "cookies.md",
)
HIDDEN = (".ssh/known", ".aws/config", ".gnupg/a", ".git/config", ".mozilla/a", ".config/a", ".docker/config.json")


@pytest.mark.parametrize("name", REPORTED)
def test_a_name_that_stands_for_secrets(name: str) -> None:
    assert may_hold_secrets(name)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name(name: str) -> None:
    assert not may_hold_secrets(name)


def test_they_are_reported_by_name_and_nothing_of_them_is_stored(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "in"
    for name in (*REPORTED, *ORDINARY, *HIDDEN):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"password hunter2 {name}" if name not in ORDINARY else "a note")
    with Store(tmp_path / "m.db", ToyEmbedder(16)) as store:
        report = store.add(root)
        assert {skipped.path.name for skipped in report.skipped} == set(REPORTED)
        assert {Path(document.uri).name for document in store.documents()} == set(ORDINARY)
        assert not store.search("hunter2", mode="lexical")
        assert store.add(root / "id_rsa").added == 1
        assert store.search("hunter2", mode="lexical")[0].document.uri.endswith("id_rsa")


def test_other_names_for_a_secret_are_seen_through(tmp_path: Path) -> None:
    """A link, a folder of that name, and a name in another case."""
    root = tmp_path.resolve() / "in"
    (root / "credentials.json").mkdir(parents=True)
    (root / "credentials.json" / "note.md").write_text("a note")
    (root / ".ENV").write_text("hunter2")
    (root / "note.txt").symlink_to(root / ".ENV")
    with Store(tmp_path / "m.db", ToyEmbedder(16)) as store:
        assert {skipped.path.name for skipped in store.add(root).skipped} == {".ENV", "note.txt"}
        assert [Path(document.uri).name for document in store.documents()] == ["note.md"]
