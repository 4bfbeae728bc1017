#!/bin/sh
# Queries our server with unmodified third-party clients: the openai SDK, langchain-openai and LiteLLM.
# scripts/serve_check.sh LAMAS RUN [--fuzz]: the binary, and a trained run that needs no key.
# --fuzz also sends requests that the schema allows and requests that it does not (schemathesis).
set -eu
lamas=${1:?expected the lamas binary} run=${2:?expected a run folder} fuzz=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
port=${LAMAS_CHECK_PORT:-18088}
place=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null || true; rm -rf "$place"' EXIT INT TERM

venv=${LAMAS_CHECK_VENV:-$place/venv}
test -x "$venv/bin/python" || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet openai langchain-openai litellm
test -z "$fuzz" || "$venv/bin/pip" install --quiet schemathesis

XDG_STATE_HOME=$place/state LAMAS_SERVER_KEYS=sk-check-check "$lamas" serve "run=$run" \
    --listen "127.0.0.1:$port" --record "$place/kept" --explore 1 --admin "127.0.0.1:$((port + 1))" >"$place/log" 2>&1 &
server=$!
tries=0
until curl -sf "http://127.0.0.1:$port/ready" >/dev/null; do
    tries=$((tries + 1))
    kill -0 "$server" 2>/dev/null && test "$tries" -lt 120 || { cat "$place/log"; exit 1; }
    sleep 0.5
done

"$venv/bin/python" "$here/serve_check.py" "http://127.0.0.1:$port/v1" sk-check-check "http://127.0.0.1:$((port + 1))"
if test -n "$fuzz"; then
    cd "$place"
    "$venv/bin/schemathesis" run "$here/serve_schema.yaml" --url "http://127.0.0.1:$port" \
        --header "Authorization: Bearer sk-check-check" --max-examples "${LAMAS_FUZZ_EXAMPLES:-200}" \
        --checks status_code_conformance,content_type_conformance,response_schema_conformance
fi
kill -TERM "$server"
wait "$server"
server=
! grep -q 'sk-check-check' "$place/log"
grep -q '"result":"done"' "$place/kept/explorations.jsonl"
echo "serve_check: everything as expected"
