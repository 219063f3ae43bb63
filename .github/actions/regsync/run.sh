#!/usr/bin/env bash
# Runs one command over specs and leaves its reports in a directory; action.yml says what the variables are.
set -euo pipefail

directory=$RUNNER_TEMP/regsync-$COMMAND-$RANDOM
mkdir -p "$directory"
read -ra paths <<<"$SPECS"
read -ra options <<<"${OPTIONS:-}"
arguments=("${options[@]}")
for suffix in md html json junit.xml sarif; do
  arguments+=(--report "$directory/report.$suffix")
done
case $COMMAND in
  plan)
    arguments+=(--out "$directory/plan.json")
    [ -z "${BASE:-}" ] || arguments+=(--base "$BASE")
    [ -z "${OBSERVATION:-}" ] || arguments+=(--observation "$OBSERVATION")
    ;;
  sync) arguments+=(--wait 10m) ;;
  check) ;;
  *)
    echo "::error::command is plan, sync or check, and not $COMMAND"
    exit 64
    ;;
esac
echo "directory=$directory" >>"$GITHUB_OUTPUT"

code=0
regsync "$COMMAND" "${arguments[@]}" -- "${paths[@]}" || code=$?
echo "exit-code=$code" >>"$GITHUB_OUTPUT"
if [ -s "$directory/report.md" ]; then
  head -c 1000000 "$directory/report.md" >>"$GITHUB_STEP_SUMMARY" # more than a megabyte is refused
fi

if [ "$code" = 75 ]; then
  echo "::warning::only temporary failures: run the job again"
elif [ "$code" = 2 ] && [ "$COMMAND" = plan ] && [ "${FAIL_ON_CHANGES:-}" != true ]; then
  code=0
fi
exit "$code"
