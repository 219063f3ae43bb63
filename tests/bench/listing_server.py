"""A registry that lists 100,000 tags fast and an empty one: prints both URLs, ends with its stdin.

With the argument `digests` its listing is one page with a digest for each tag, as GAR's is; without it the
tags come in pages of 1,000.
"""

import sys

from tests.bench import corpus
from tests.support.fake_registry import FakeRegistry

PAGE = 1000  # tags


def main() -> None:
    """Serve until stdin closes."""
    with FakeRegistry() as source, FakeRegistry() as target:
        for one in corpus.tags100k():
            source.add(one.repository, one.make(), *one.tags)
        source.page_size = PAGE
        source.lists_digests = sys.argv[1:] == ["digests"]
        print(source.url, target.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
