"""Tag filters of regclient's regsync as rules.

A filter takes what its semverRange holds, of that what some `allow` matches, less what some `deny`
does; filters are united. Source: regclient's cmd/regsync/root.go, filterTagList.
"""

from typing import Any

from regsync.spec.globs import matches
from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.patterns import as_glob, is_tag, literal, padded, union, unusable_range, usable


def rules(entry: dict[str, Any], where: str, draft: Draft) -> list[Any]:
    """The rules for `tagSets` and `tags` of an entry; every tag where it has none."""
    sets = [*foreign.mappings(entry.get("tagSets")), foreign.child(entry, "tags")]
    sets = [one for one in sets if any(one.get(key) for key in ("allow", "deny", "semverRange"))]
    if not sets:
        return ["*"]
    return [rule for one in sets for rule in _set(one, where, draft)]


def _set(filters: dict[str, Any], where: str, draft: Draft) -> list[Any]:
    allow, deny = foreign.texts(filters.get("allow")), foreign.texts(filters.get("deny"))
    ranges = [text for text in foreign.texts(filters.get("semverRange")) if text]
    exclude, patterns = _denied(deny)
    if ranges:
        return _ranged(" || ".join(padded(one) for one in ranges), allow, exclude, patterns, where, draft)
    found: list[Any] = []
    others: list[str] = []
    for regex in allow or [".*"]:
        glob = as_glob(regex)
        if patterns or glob is None or ("?" in glob and "*" not in glob):
            others.append(regex)  # `3.9` is no glob that anyone would write
        elif literal(regex) is None:
            found.append({"glob": glob, "exclude": exclude} if exclude else glob)
        elif not is_tag(glob):
            draft.note(f"{where}: no tag can match {regex!r:.120}")
        elif not any(matches(one, glob) for one in exclude):
            found.append(glob)
    if others:
        found += _regex(union(others), exclude, patterns, {}, where, draft)
    if any(isinstance(one, str) and "*" not in one for one in found):
        draft.note("tags by name: one that the source lacks is a failure here")
    return found


def _denied(deny: list[str]) -> tuple[list[str], list[str]]:
    """What is denied, as globs, and as regexes where there is no glob for one."""
    globs = [as_glob(regex) for regex in deny]
    return [one for one in globs if one], [
        regex for regex, glob in zip(deny, globs, strict=True) if glob is None
    ]


def _ranged(
    text: str, allow: list[str], exclude: list[str], patterns: list[str], where: str, draft: Draft
) -> list[Any]:
    objection = unusable_range(text)
    if objection is not None:
        draft.note(f"{where}: {objection}")
        return []
    draft.note("pre-releases such as 1.2.3-rc1 (and -alpine) match a range only if it names one, as in >=1-0")
    if not allow and not patterns:
        return [{"semver": text, "exclude": exclude} if exclude else {"semver": text}]
    semver = {"semver": {"of": "version", "range": text}}
    return _regex(f"(?P<version>{union(allow or ['.*'])})", exclude, patterns, semver, where, draft)


def _regex(
    regex: str,
    exclude: list[str],
    patterns: list[str],
    more: dict[str, Any],
    where: str,
    draft: Draft,
) -> list[Any]:
    if patterns:
        regex = f"(?!(?:{union(patterns)})$)(?:{regex})"
    objection = usable(regex)
    if objection is not None:
        draft.note(f"{where}: {objection}")
        return []
    rule: dict[str, Any] = {"regex": regex, **more}
    if exclude:
        rule["exclude"] = exclude
    return [rule]
