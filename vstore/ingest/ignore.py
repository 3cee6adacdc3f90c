"""Which files of a folder are left out: by .gitignore, by convention, and because they may hold secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

_GENERATED: Final = frozenset(("node_modules", "__pycache__"))
# in lower case; folders such as .ssh, .aws, .gnupg and .git are hidden, and so not entered at all
_SECRETS: Final = (
    # accounts
    *(".dockercfg", ".env*", "*.env", ".git-credentials", ".htpasswd", ".my.cnf", ".netrc", "_netrc", ".npmrc"),
    *(".pgpass", ".pypirc", ".vault-token", "client_secret*.json", "credentials", "credentials.csv", "credentials.db"),
    *("credentials.json", "credentials.toml", "kubeconfig", "*.kubeconfig", "secrets.json", "secrets.toml"),
    *("secrets.yaml", "secrets.yml", "service-account*.json", "service_account*.json", "*.tfstate", "*.tfvars"),
    # keys
    *("id_dsa*", "id_ecdsa*", "id_ed25519*", "id_rsa*", "wallet.dat", "*.gpg", "*.jks", "*.kdb", "*.kdbx", "*.key"),
    *("*.keystore", "*.keytab", "*.ovpn", "*.p12", "*.p8", "*.pem", "*.pfx", "*.pgp", "*.ppk"),
    # profiles of browsers
    *("cookies", "cookies-journal", "cookies.sqlite", "key3.db", "key4.db", "login data", "login data for account"),
    *("logins.json", "signons.sqlite", "web data"),
)

_SECRET: Final = re.compile("|".join(map(translate, _SECRETS)))  # one by one they would take most of a walk's time


def may_hold_secrets(name: str) -> bool:
    """Whether a file of this name usually holds a key or a password."""
    return _SECRET.match(name.lower()) is not None


def is_conventional(name: str) -> bool:
    """Whether a file or folder of this name is hidden or generated, and so left out of every folder."""
    return name.startswith(".") or name in _GENERATED


@dataclass(frozen=True, slots=True)
class Rules:
    """The .gitignore files that hold in one folder, outermost first, each with the folder it lies in."""

    specs: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    @classmethod
    def above(cls, folder: Path) -> Rules:
        """The rules of the folders around `folder`, up to the root of its git repository; none outside of one.

        None as well when they exclude the folder itself: it was asked for by name.
        """
        around: list[Path] = []
        for parent in (folder, *folder.parents):
            around.append(parent)
            if (parent / ".git").exists():
                break
        else:
            return cls()
        rules = cls()
        for parent in reversed(around[1:]):
            rules = rules.within(parent)
        return cls() if rules.exclude(folder, is_folder=True) else rules

    def within(self, folder: Path) -> Rules:
        """These rules and those of the .gitignore file in `folder`, if it has a readable one."""
        file = folder / ".gitignore"
        if not file.is_file():
            return self
        try:
            lines = file.read_text("utf-8", errors="replace").splitlines()
        except OSError:  # git, too, goes on without rules it may not read
            return self
        return Rules((*self.specs, (folder, GitIgnoreSpec.from_lines(filter(_is_valid, lines)))))

    def exclude(self, path: Path, *, is_folder: bool) -> bool:
        """Whether a file or folder is ignored; the innermost rule that says anything about it decides."""
        for folder, spec in reversed(self.specs):
            name = path.relative_to(folder).as_posix() + ("/" if is_folder else "")
            verdict = spec.check_file(name).include
            if verdict is not None:
                return verdict
        return False


def _is_valid(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:  # git passes over such lines too
        return False
    return True
