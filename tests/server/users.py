"""Users of an htpasswd file, and what they send."""

import base64
from collections.abc import Mapping
from pathlib import Path

import bcrypt


def basic(user: str, password: str | bytes) -> str:
    raw = user.encode() + b":" + (password.encode() if isinstance(password, str) else password)
    return "Basic " + base64.b64encode(raw).decode()


def hashed(password: str | bytes, cost: int = 4) -> str:
    raw = password.encode() if isinstance(password, str) else password
    return bcrypt.hashpw(raw, bcrypt.gensalt(cost)).decode()


def write(path: Path, users: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{user}:{hashed(password)}\n" for user, password in users.items()))
    return path
