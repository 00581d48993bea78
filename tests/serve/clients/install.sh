#!/usr/bin/env bash
# Clients of the gateway that the development environment lacks, kept between runs; prints where they are.
set -euo pipefail
python_clients=(langchain-openai==1.7.4)
node_clients=(openai@7.57.0 ai@7.0.173 @ai-sdk/openai-compatible@3.0.92 @anthropic-ai/sdk@1.14.0)
version="$(printf '%s\n' "${python_clients[@]}" "${node_clients[@]}" | cksum | cut -d' ' -f1)"
home="${STEPROUTE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/steproute}/clients-$version"
if [ ! -e "$home/.complete" ]; then
    rm -rf "$home"
    "${PYTHON:-python3.11}" -m venv "$home/python"
    "$home/python/bin/python" -m pip install --quiet --disable-pip-version-check "${python_clients[@]}" >&2
    npm install --prefix "$home" --no-fund --no-audit --loglevel=error "${node_clients[@]}" >&2
    touch "$home/.complete"
fi
echo "$home"
