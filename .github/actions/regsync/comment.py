"""Keep one comment on a pull request that shows a report; needs nothing but Python."""

import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

LENGTH = 60_000  # characters; a comment holds 65,536


def ask(method: str, url: str, document: object = None) -> Any:
    """What GitHub answers."""
    headers = {
        "Authorization": f"Bearer {os.environ['TOKEN']}",
        "Accept": "application/vnd.github+json",
        "Content-Type": "application/json",
    }
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - GitHub says where it is
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return json.load(answer)


def earlier(comments: str, marker: str) -> str | None:
    """The URL of the comment that is there already."""
    page = 1
    while found := ask("GET", f"{comments}?per_page=100&page={page}"):
        for one in found:
            if (one.get("body") or "").startswith(marker):
                return str(one["url"])
        page += 1
    return None


def main() -> int:
    """Write it, or write it anew."""
    report = Path(os.environ["REPORT"])
    if not report.is_file():
        return 0
    marker = f"<!-- regsync {os.environ['TITLE'].replace('--', '- -')} -->"
    text = report.read_text(encoding="utf-8")
    if len(text) > LENGTH:
        text = f"{text[:LENGTH]}\n\n… the job's summary has the whole report.\n"
    body = {"body": f"{marker}\n{text}"}
    base = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
    comments = f"{base}/issues/{int(os.environ['PULL_REQUEST'])}/comments"
    known = earlier(comments, marker)
    if known is None:
        ask("POST", comments, body)
    else:
        ask("PATCH", known, body)
    return 0


if __name__ == "__main__":
    sys.exit(main())
