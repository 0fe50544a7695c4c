#!/usr/bin/env bash
# Generates the protobuf code under proto/ with the one pinned compiler, in a virtual environment of its own.
#   tools/generate_proto.sh          write it into proto/
#   tools/generate_proto.sh --check  fail when what is committed differs
set -euo pipefail
cd "$(dirname "$0")/.."
# An older tool on purpose: its output runs on every protobuf from 6.33 to 7, a newer one's only on the newest.
tool=grpcio-tools==1.76.0
venv=.venv-proto
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip show -q grpcio-tools >/dev/null 2>&1; then
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install -q "$tool" "setuptools<81"
fi
out=proto
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
p=convserve_proto
"$venv/bin/python" -m grpc_tools.protoc -I proto --python_out="$out" --pyi_out="$out" $p/vision.proto $p/manifest.proto
# Its messages live in a descriptor pool of their own (open_inference.py says why), so there is no _pb2.py.
"$venv/bin/python" -m grpc_tools.protoc -I proto --pyi_out="$out" --descriptor_set_out="$out/$p/open_inference.binpb" $p/open_inference.proto
if [ "$out" != proto ]; then
  for file in "$out/$p"/*; do
    cmp "$file" "proto/$p/$(basename "$file")" || { echo "generated code is out of date: run tools/generate_proto.sh" >&2; exit 1; }
  done
  echo "generated code is up to date"
fi
