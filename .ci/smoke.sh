#!/usr/bin/env bash
# The main job with an installed vstore, outside any checkout: add, search, forget.
set -euo pipefail

vstore --version
vstore demo
if python -c 'import torch' 2>/dev/null; then
  echo "the core install brought torch along"
  exit 1
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir notes
printf '# Boiler\n\nThe boiler in the cellar was serviced in March.\n' >notes/boiler.md
printf 'id,part\n1,valve VX-200\n2,gasket GK-17\n' >notes/parts.csv
export VSTORE_DB=$folder/memory.db

vstore add notes | grep '2 added, 0 updated, 0 unchanged, 0 skipped'
vstore add notes | grep '0 added, 0 updated, 2 unchanged, 0 skipped (0 chunks embedded'
vstore search 'when was the heating looked after?' -k 1 | grep 'boiler.md'
vstore search 'GK-17' --mode lexical -k 1 --json | grep 'gasket GK-17'
vstore forget notes/boiler.md
[[ -z $(vstore search 'boiler' --mode lexical 2>/dev/null) ]]
if vstore --db "$folder/absent.db" search x 2>error.txt; then exit 1; fi
grep 'there is no store' error.txt
echo "smoke test passed"
