"""What docs/spec.md says before its tables of keys."""

INTRO = """\
# The spec

<!-- Rendered by `python -m regsync.spec.reference`; change the models in regsync/spec instead. -->

A spec is YAML: any number of documents in any number of files. A command takes paths; a directory is
walked for `*.yaml` and `*.yml` in sorted order, hidden files and directories left out; without a path
it takes `regsync.yaml`, else the directory `regsync/`. Every document looks like this:

```yaml
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: nginx, labels: {team: web}}
spec:
  source: docker.io/library/nginx
  targets: [registry.example.com/hub/nginx]
  tags: [{semver: ">=1.25", newest: 3, per: minor}, latest]
```

`regsync validate` shows every problem of a spec at once, each with file, line and column.
`regsync schema` prints a JSON Schema for completion in editors, which is also
[published](schemas/spec.schema.json). Working specs are in
[examples/](../examples).

## Rules that hold everywhere

- **Strict.** Unknown keys, keys that stand twice, keys without a value, names used twice and
  references to nothing are errors. There are no `${VAR}` templates and no merge keys (`<<`).
- **Scalars** follow the YAML 1.2 core schema: `on` is a word, `012` is twelve, a date is text. Where text
  is expected, what was written is taken: the tag `1.10` stays `1.10`.
- **Paths** are relative to the file in which they stand; in a spec on stdin (`-`) to the current directory.
- **Secrets** are `{env: NAME}` or `{file: PATH}`, never a plain value.
- **Durations** are `90s 15m 12h 7d 4w 2y` (a year has 365 days), **sizes** `64KiB 20MiB 1GB`.
- **Names.** In `a/b/c` a first part without `.` and `:`, other than `localhost`, is the name of a Registry
  or RegistryGroup. Anything else is a host: `docker.io/library/nginx`, `http://127.0.0.1:5000/nginx`.
  A host that one Registry declares gets its credentials, TLS and limits. A host that several declare
  has to be named by one of them; they share its limits, not their credentials.
- **Directories.** In a walked directory, documents of another `apiVersion` are passed over; in a named
  file they are an error. `MirrorDefaults` apply to their directory and below. When a directory above, in
  the same git tree, holds defaults, a Project, or policies with `images` or `targets`, that the paths leave
  out, that is an error.

## How tags are selected

Rules run alone and their results are united. In a rule, one step after the other:

1. **match**: one of `names`, `glob`, `regex` (the whole tag) and `semver`. With `regex`, `semver` may look at
   one of its named groups. Patterns never select cosign's digest tags (`sha256-….sig`): they follow
   their image.
2. **`exclude`**, **`labels`**, **`maxAge`**. An image's age counts from its `created`, else from the
   annotation `org.opencontainers.image.created`, else (and when before 1990) from when regsync first saw it.
3. **`per`**: one group per `major` or `minor` version, or per value of a named group of the regex.
4. **`sort`** and **`newest`**: of each group the newest. A tag that the sort cannot read is dropped. `names`,
   and texts without a wildcard, pass these two by.

Then, over the union: `excludeTags`, `atLeast`, `rename`. `plan --explain` says for each tag which rule and
step kept or dropped it.

**Globs**: `*` and `?` stop at `/`, a part `**` stands for any number of parts, also none, `[…]` is a class.
They match the whole, and case counts.

**Versions**: `v1.2.3`, `1.2`, `15`: a missing part is 0. `_` reads as `+`, as Helm writes it.
**Ranges**: space or comma is *and*, `||` is *or*; `^1.2`, `~1.2`, `1.x`, `*` and `1.2 - 1.4` as in npm. A
missing part is 0 here too, so `15` is 15.0.0 alone and `<=1.2` ends at 1.2.0; `15.x` and `<1.3` are what is
often meant.
A pre-release matches only where an alternative names one, as in `>=1.25-0`.

**Regular expressions** are Python's. Those that could take for ever on a hostile tag, such as `(a+)+`, are
refused.

## Which policies an image has to meet

Those that its mirror, or the upstream, names under `verify`, every one whose `images` match its source, and
every one whose `targets` match where it goes; all of them. A glob over REGISTRY/REPOSITORY speaks of the
place: `hub/acme/**` is met by every Registry of that host, and by a full reference to it. A RegistryGroup
stands for its members, `*` for every registry, `**` alone for everything. That two host names lead to one
registry only their owner knows: where that matters, write `*`.

What makes no sense is an error before anything is asked of a network: names of nothing, an authority, a
root or a policy that nothing uses, a private key where a public one belongs. `referrers: none` stands
against every policy that applies, since evidence has to be at the target too, and so does a list of
`platforms` against one whose `scope` is `index` or `both`: the new index has a digest that nobody has signed.
Files that policies and roots name are read with the spec, and the spec digest covers what is in them.

## Across mirrors

Two mirrors that could write the same tag of one target, a target equal to its source, and cycles
(a → b → a) are errors. Whether two mirrors could write the same tag is decided from the spec alone: names
exactly, globs by whether they have a tag in common, version ranges by whether they meet, a regex by
its fixed text. To part two patterns, let one side exclude the glob by which the other selects. Chained
mirrors (dev → staging → prod) run in order; each waits for the targets that it reads from, and for no others.

## What is deleted

Nothing, unless the spec says so: [concepts](concepts.md#what-is-deleted) has what `prune`, `history` and
`RetentionPolicy` do when they run. These are errors before that:

- two mirrors with `prune` that write to one target repository, or one with `owns: repository` where another
  writes too: each would delete what the other leaves;
- `history` whose tags another mirror could write;
- two retention policies that speak of one repository;
- `unmatched: delete` over a repository where a mirror declares tags that no rule of `keep` can match and
  nothing protects. What a mirror declares is kept at run time in any case; this says that the spec
  contradicts itself;
- `maxAge`, or `sort: created`, in a rule of `keep`: a deletion never rests on `created`, which whoever
  builds an image writes. `pushedWithin` and `pulledWithin` go by what the registry saw, and keep what it
  does not tell.

## Schedules

`schedule` is cron with five fields (minute, hour, day of month, month, day of week), or `@hourly`,
`@daily`, `@weekly`, `@monthly`, `@yearly`. `timezone` is a name of the tz database, such as
`Europe/Berlin`; without it UTC. It may stand in defaults, beside no schedule. A time that never comes, such
as the 30th of February, is an error. Schedules are for `regsync run`; any other command does its work when
it is started.

## Projects

A `Project` says what the files of a team may do. It stands in a directory above them:

```yaml
apiVersion: regsync.dev/v1
kind: Project
metadata: {name: web}
spec:
  files: ["teams/web/**"]
  kinds: [Mirror, MirrorDefaults]
  sources: ["hub/**", "dev/web/**"]
  targets: ["*/web/**"]
  verify: [prod]
  prune: {maxDeletes: 20}
```

Nothing in those files widens it. Each error names the Project and what it allows.

- **Files.** Where there is any Project, each file is under exactly one, or stands in the directory of the
  Settings. A link counts by its own name and by where it leads. Documents on stdin are of no file, and
  refused.
- **Kinds** are Mirror, MirrorDefaults and RetentionPolicy at most: all others say where secrets go, what
  evidence counts, or what holds for everybody.
- **Sources and targets** are looked at as they are resolved: with defaults, groups and placeholders filled
  in, and for repositories that are listed later by their globs, of which all that they can match has to be
  inside. They go by the names of Registries: another Registry of the same host may have another login.
- **Full references** and lists in other files (`images.file`, `inUse`) are refused: a pull request must not
  be able to send a secret anywhere, or to show a file.
- **`verify`** holds for all its mirrors, whether they name those policies or not. Policies that apply by
  their globs do too, as everywhere.
- **`prune`** is the most that may be deleted, by mirrors and retention; `protect` is added to theirs.
  Without it they delete nothing.
- **Defaults** in its files apply to its own mirrors alone; that they would to others is an error.

## Notifications

`Settings.notifications` are for `regsync run`. A URL is a secret and never shown. `template` is JSON in
which `{{event}}`, `{{mirror}}`, `{{message}}`, `{{run}}` and `{{time}}` stand inside of texts; values are
escaped:

```yaml
apiVersion: regsync.dev/v1
kind: Settings
spec:
  notifications:
    - {url: {env: SLACK_URL}, format: slack, on: [failure, recovery]}
    - url: {file: /run/secrets/hook}
      template: '{"title": "{{event}} of {{mirror}}", "body": "{{message}}"}'
```
"""
