#!/usr/bin/env bash
# The gateways that gateway_compare.py measures, kept between runs; prints where they are.
set -euo pipefail
any_llm=("any-llm-sdk[gateway,openai]==1.14.0")  # the last release that has a gateway
lm_proxy=(lm-proxy==3.3.2)
optillm=(optillm==0.4.0)
optillm_imports=(  # what its proxy imports of all that the package asks for
    aiohttp==3.14.5 beautifulsoup4==4.15.0 cerebras-cloud-sdk==1.91.0 flask==3.1.3 math-verify==0.9.0 networkx==3.6.1 numpy==2.4.6
    openai==3.57.0 PyYAML==6.0.4 requests==2.34.2 selenium==4.51.0 sympy==1.14.0 torch==2.14.1 transformers==5.24.0
    webdriver-manager==4.1.2 z3-solver==4.15.4.0
)
# with a newer server Portkey's gateway cannot stream (its issue 1389)
portkey='{"dependencies": {"@portkey-ai/gateway": "1.15.2"}, "overrides": {"@hono/node-server": "1.14.1"}}'
version="$(printf '%s\n' "${any_llm[@]}" "${lm_proxy[@]}" "${optillm[@]}" "${optillm_imports[@]}" "$portkey" |
    cksum | cut -d' ' -f1)"
home="${STEPROUTE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/steproute}/gateways-$version"

python_environment() {  # NAME PACKAGE...
    "${PYTHON:-python3.11}" -m venv "$home/$1"
    "$home/$1/bin/python" -m pip install --quiet --quiet --disable-pip-version-check "${@:2}" >&2
}

if [ ! -e "$home/.complete" ]; then
    rm -rf "$home"
    python_environment any-llm "${any_llm[@]}"
    python_environment lm-proxy "${lm_proxy[@]}"
    python_environment optillm "${optillm_imports[@]}"
    "$home/optillm/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-deps "${optillm[@]}" >&2
    mkdir "$home/portkey"
    echo "$portkey" > "$home/portkey/package.json"
    npm install --prefix "$home/portkey" --no-fund --no-audit --loglevel=error >&2
    touch "$home/.complete"
fi
echo "$home"
