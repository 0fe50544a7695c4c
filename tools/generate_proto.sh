#!/usr/bin/env bash
# Generates the protobuf code under proto/ with the one pinned compiler, in a virtual environment of its own.
#   tools/generate_proto.sh          write it into proto/
#   tools/generate_proto.sh --check  fail when what is committed differs
set -euo pipefail
cd "$(dirname "$0")/.."
# An older tool on purpose: its output runs on every protobuf from 6.33 to 7, a newer one's only on the newest.
tool=grpcio-tools==1.76.0
venv=.venv-proto
p=convserve_proto

if ! "$venv/bin/python" -c "import importlib.metadata as m; assert 'grpcio-tools==' + m.version('grpcio-tools') == '$tool'" 2>/dev/null; then
  "${PYTHON:-python3}" -m venv --clear "$venv"
  # grpc_tools imports pkg_resources, which later setuptools no longer has.
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check "$tool" "setuptools<81"
fi

out=proto
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi

"$venv/bin/python" -m grpc_tools.protoc -I proto --python_out="$out" --pyi_out="$out" $p/vision.proto $p/manifest.proto
# Its messages live in a descriptor pool of their own (open_inference.py says why), so there is no _pb2.py.
"$venv/bin/python" -m grpc_tools.protoc -I proto --pyi_out="$out" \
  --descriptor_set_out="$out/$p/open_inference.binpb" $p/open_inference.proto

if [ "$out" != proto ]; then
  for file in "$out/$p"/*; do
    if ! cmp -s "$file" "proto/$p/$(basename "$file")"; then
      echo "proto/$p/$(basename "$file") is out of date: run make proto" >&2
      exit 1
    fi
  done
  echo "generated code is up to date"
fi
