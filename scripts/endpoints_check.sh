#!/usr/bin/env bash
# Runs lamas against other people's servers on loopback: scripts/endpoints_check.sh [aimock] [litellm]
#
# aimock (npm) takes seconds to install, LiteLLM (pip, about 750 MB) minutes; both are installed once, under SERVERS. After that
# nothing leaves the machine. LAMAS names the binary; the default is the debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
lamas=${LAMAS:-${CARGO_TARGET_DIR:-target}/debug/lamas}
servers=${SERVERS:-target/servers}
aimock=${AIMOCK_ENV:-$servers/aimock}
litellm=${LITELLM_ENV:-$servers/litellm}
place=$(mktemp -d)
port=${PORT:-4210}
server=
trap 'kill -9 $server 2>/dev/null || true; rm -rf "$place"' EXIT
export OPENAI_API_KEY=sk-good LAMAS_DEVICE=cpu LAMAS_BENCHMARK=$root/tests/benchmarks/tiny
# Requests are counted at the server, so no recording may answer in its place.
export LAMAS_CACHE_MODE=off
export LAMAS_BASE_URL=http://127.0.0.1:$port
question="A box holds 6 rows of 7 buttons. How many buttons are in it?"
plan="GenerateCoT,MultiGenerateCoT;ScEnsemble"

# No survey of all small plans before the first pass: that would take 1,280 queries.
printf '[training.survey]\noperators = 0\n' >"$place/train.toml"

say() { printf '\n== %s\n' "$*"; }

# expect CODE TEXT COMMAND...: expects that the command exits with CODE and prints TEXT.
expect() {
    local code=$1 text=$2 found=0
    shift 2
    "$@" >"$place/output" 2>&1 || found=$?
    tail -n 25 "$place/output"
    [ "$found" = "$code" ] || { echo "expected exit code $code, found $found"; exit 1; }
    grep -qF -- "$text" "$place/output" || { echo "expected \`$text\`"; exit 1; }
    ! grep -qF -- sk-good "$place/output" || { echo "the key was printed"; exit 1; }
}

start_aimock() {
    [ -x "$aimock/node_modules/.bin/llmock" ] || npm install --silent --prefix "$aimock" @copilotkit/aimock@1.43.0
    [ -f "$place/fixtures.json" ] || python3 - tests/benchmarks/tiny "$place/fixtures.json" <<'PYTHON'
import json, pathlib, sys
problems = [json.loads(line) for file in sorted(pathlib.Path(sys.argv[1]).glob("*.jsonl")) for line in file.open()]
def fixture(number, problem):
    # One answer in four is wrong, so that operators differ.
    answer = "0" if number % 4 == 3 else problem["answer"]
    usage = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}
    content = f"Step by step. The answer is {answer}."
    return {"match": {"userMessage": problem["question"]}, "response": {"content": content, "usage": usage}}
json.dump({"fixtures": [fixture(*item) for item in enumerate(problems)]}, open(sys.argv[2], "w"))
PYTHON
    AIMOCK_API_KEYS=sk-good "$aimock/node_modules/.bin/llmock" -h 127.0.0.1 -p "$port" -f "$place/fixtures.json" --strict \
        --log-level warn "$@" >"$place/server" 2>&1 &
    server=$!
    ready
}

start_litellm() {
    [ -x "$litellm/bin/litellm" ] || { python3 -m venv "$litellm" && "$litellm/bin/pip" install -q 'litellm[proxy]==1.106.2'; }
    (
        cd scripts/endpoints
        export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 LITELLM_MASTER_KEY=sk-of-this-check-only LITELLM_LOG=ERROR
        export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_TELEMETRY=False LITELLM_MODE=PRODUCTION
        exec "$litellm/bin/litellm" --config litellm.yaml --host 127.0.0.1 --port "$port" --telemetry False
    ) >"$place/server" 2>&1 &
    server=$!
    ready
}

ready() {
    for _ in $(seq 600); do
        ! curl -s -o /dev/null -m 2 "$LAMAS_BASE_URL/v1/models" || return 0
        kill -0 "$server" || { cat "$place/server"; exit 1; }
        sleep 0.2
    done
    echo "the server did not start" && exit 1
}

stop() { kill -9 "$server" && wait "$server" 2>/dev/null || true; }

# What both servers must show. $1 is the model, at a dollar per million tokens; $2 is how an unknown model is refused.
common() {
    local model=(--model-name "$1" --price 1)
    say "run, streamed"
    expect 0 "answer: 42" "$lamas" run "$question" --plan "$plan" "${model[@]}"
    say "run, whole answers"
    printf '[endpoint]\nstream = false\n' >"$place/settings.toml"
    expect 0 "answer: 42" "$lamas" run "$question" --plan "$plan" "${model[@]}" --config "$place/settings.toml"
    say "a wrong key"
    OPENAI_API_KEY=sk-wrong expect 1 "401" "$lamas" run "$question" --plan "$plan" "${model[@]}"
    say "an unknown model: ${2:-accepted by this server}"
    [ -z "${2:-}" ] || expect 1 "$2" "$lamas" run "$question" --plan Generate --model-name nobody --price 0
    say "a model without a price"
    expect 1 "expected a priced model" "$lamas" run "$question" --plan Generate --model-name nobody
    say "a training run of 2 x 64 queries and an evaluation with the baselines"
    expect 0 "trained controller" "$lamas" train --config "$place/train.toml" --epochs 2 --out "$place/run-$1" "${model[@]}"
    say "an evaluation under a cap, without what training recorded"
    expect 3 "--max-tokens 300" "$lamas" evaluate "$place/run-$1" --alone --max-tokens 300 --record "$place/capped-$1.jsonl" \
        "${model[@]}"
}

# killed MODEL START...: kills the server in the middle of a training run and starts it again.
killed() {
    local name=$1
    shift
    say "a killed and restarted server"
    "$lamas" train --config "$place/train.toml" --epochs 2 --no-evaluation --out "$place/killed-$name" \
        --model-name "$name" --price 1 >"$place/train" 2>&1 &
    local train=$!
    sleep "${KILL_AFTER:-2}"
    kill -0 "$train" || { echo "training ended before the server was killed"; exit 1; }
    stop
    sleep 1
    "$@"
    wait "$train" || { cat "$place/train"; exit 1; }
    tail -n 3 "$place/train"
    grep -q '"failures":0' "$place/killed-$name/seed-0/metrics.jsonl"
}

check_aimock() {
    start_aimock
    common any
    stop
    start_aimock --chaos-latency 300
    killed any start_aimock
    stop
    say "rate limits, drops, broken answers, hang-ups: three calls in ten"
    start_aimock --chaos-ratelimit 0.1 --chaos-drop 0.08 --chaos-malformed 0.07 --chaos-disconnect 0.05
    expect 0 "CoT x 5, vote" "$lamas" baselines --model-name any --price 1
    stop
}

check_litellm() {
    start_litellm
    common fixed "400"
    say "a server error that repeats"
    printf '[endpoint]\nattempts = 3\n' >"$place/settings.toml"
    expect 2 "after 3 requests" "$lamas" run "$question" --plan Generate --model-name broken --price 0 --config "$place/settings.toml"
    say "a prompt beyond the context"
    expect 1 "must fit into the model's context" "$lamas" run "$question" --plan Generate --model-name too-long --price 0
    say "three requests a minute"
    OPENAI_API_KEY=sk-slow expect 0 "answer: 42" "$lamas" run "$question" --plan "$plan" --model-name fixed --price 1
    killed fixed start_litellm
    stop
}

for name in "${@:-aimock}"; do
    "check_$name"
done
echo
echo "all checks against ${*:-aimock} passed"
