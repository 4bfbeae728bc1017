#!/usr/bin/env bash
# Several models on other people's servers on loopback: scripts/models_check.sh [litellm]
#
# The large model is slow and right (aimock). The small one is fast and right only on short problems (another aimock; with
# `litellm`, behind a LiteLLM proxy). A policy learns live when the large model is worth it, and answers. Its decisions and
# dollars are compared with the replay of its record. One cap covers both models. Then requests are hedged over two servers of
# one model, each with its own slow tail. Servers are installed once, under SERVERS. LAMAS names the binary; the default is the
# debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
lamas=${LAMAS:-${CARGO_TARGET_DIR:-target}/debug/lamas}
servers=${SERVERS:-target/servers}
aimock=${AIMOCK_ENV:-$servers/aimock}
litellm=${LITELLM_ENV:-$servers/litellm}
place=$(mktemp -d)
port=${PORT:-4310}
pids=()
trap 'kill -9 "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; [ -n "${KEEP:-}" ] || rm -rf "$place"' EXIT
unset OPENAI_API_KEY LAMAS_API_KEY OPENAI_BASE_URL
export SMALL_KEY=sk-good LARGE_KEY=sk-large LAMAS_DEVICE=cpu LAMAS_BENCHMARK=$place/b XDG_STATE_HOME=$place/state
# Requests are counted at the servers, so no recording may answer in their place.
export LAMAS_CACHE_MODE=off

say() { printf '\n== %s\n' "$*"; }

ready() {
    for _ in $(seq 600); do
        ! curl -s -o /dev/null -m 2 "http://127.0.0.1:$1/v1/models" || return 0
        kill -0 "${pids[-1]}" || { cat "$place/server-$1"; exit 1; }
        sleep 0.2
    done
    echo "the server on port $1 did not start" && exit 1
}

# serve PORT KEY FIXTURES: starts an aimock.
serve() {
    [ -x "$aimock/node_modules/.bin/llmock" ] || npm install --silent --prefix "$aimock" @copilotkit/aimock@1.43.0
    AIMOCK_API_KEYS=$2 "$aimock/node_modules/.bin/llmock" -h 127.0.0.1 -p "$1" -f "$place/$3.json" --strict \
        --log-level warn --journal-max 10 >"$place/server-$1" 2>&1 &
    pids+=($!)
    ready "$1"
}

# proxy PORT UPSTREAM: starts a LiteLLM proxy in front of an aimock.
proxy() {
    [ -x "$litellm/bin/litellm" ] || { python3 -m venv "$litellm" && "$litellm/bin/pip" install -q 'litellm[proxy]==1.106.2'; }
    cat >"$place/litellm.yaml" <<YAML
model_list:
  - model_name: small
    litellm_params: {model: openai/small, api_base: "http://127.0.0.1:$2/v1", api_key: sk-upstream}
litellm_settings: {drop_params: true, num_retries: 0, telemetry: false}
router_settings: {num_retries: 0, disable_cooldowns: true}
general_settings: {custom_auth: litellm_auth.check}
YAML
    cp scripts/endpoints/litellm_auth.py "$place"
    (
        cd "$place"
        export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 LITELLM_MASTER_KEY=sk-of-this-check-only LITELLM_LOG=ERROR
        export LITELLM_LOCAL_MODEL_COST_MAP=True LITELLM_TELEMETRY=False LITELLM_MODE=PRODUCTION
        exec "$litellm/bin/litellm" --config litellm.yaml --host 127.0.0.1 --port "$1" --telemetry False
    ) >"$place/server-$1" 2>&1 &
    pids+=($!)
    ready "$1"
}

# A small benchmark, and the servers' answers to it. `large` is right, after 300 ms. `small` answers at once, and is right if a
# problem takes at most two steps. `one` and `other` are right; each lets one problem in twenty wait for 2 s, but not the same ones.
python3 - "$root/data/arithmetic" "$place" <<'PYTHON'
import json, pathlib, sys
source, place = map(pathlib.Path, sys.argv[1:])
(place / "b").mkdir()
sizes = {"train": 160, "validation": 60, "test": 60}
problems = []
for split, size in sizes.items():
    rows = [json.loads(line) for line in (source / f"{split}.jsonl").open()][:size]
    problems += rows
    keep = lambda row: {name: row[name] for name in ("id", "question", "answer", "kind", "steps")}
    (place / "b" / f"{split}.jsonl").write_text("".join(json.dumps(keep(row)) + "\n" for row in rows))
files = "".join(f'{split} = "{split}.jsonl"\n' for split in sizes)
(place / "b" / "benchmark.toml").write_text(
    'name = "short"\ndescription = "Short and long word problems."\nanswer = "integer"\ncatalogue = "catalogue.toml"\n'
    f"[splits]\n{files}[reward]\nlatency_weight = 0.05\ncost_weight = 600.0\ngamma = 50.0\nunit = \"seconds\"\n")
def fixture(problem, answer, wait):
    usage = {"prompt_tokens": 60, "completion_tokens": 20, "total_tokens": 80}
    content = f"Step by step. The answer is {answer}."
    return {"match": {"userMessage": problem["question"]}, "response": {"content": content, "usage": usage},
            "streamingProfile": {"ttft": wait, "tps": 400, "jitter": 0.1}}
def write(name, answer, wait):
    fixtures = [fixture(problem, answer(problem), wait(number)) for number, problem in enumerate(problems)]
    (place / f"{name}.json").write_text(json.dumps({"fixtures": fixtures}))
right = lambda problem: problem["answer"]
write("large", right, lambda number: 300)
write("small", lambda problem: right(problem) if problem["steps"] <= 2 else "0", lambda number: 10)
write("one", right, lambda number: 2000 if number % 20 == 3 else 50)
write("other", right, lambda number: 2000 if number % 20 == 12 else 50)
PYTHON

large=http://127.0.0.1:$port
small=http://127.0.0.1:$((port + 1))
serve "$port" sk-large large
if [ "${1:-}" = litellm ]; then
    serve $((port + 1)) sk-upstream small
    proxy $((port + 2)) $((port + 1))
    small=http://127.0.0.1:$((port + 2))
else
    serve $((port + 1)) sk-good small
fi
cat >"$place/own.toml" <<TOML
[[model]]
name = "small"
endpoint = "$small"
key_env = "SMALL_KEY"
model = "small"
prices = { prompt = 0.1, completion = 0.4 }
in_flight = 4

[[model]]
name = "large"
endpoint = "$large"
key_env = "LARGE_KEY"
model = "large"
prices = { prompt = 2.0, completion = 8.0 }
in_flight = 16
TOML
"$lamas" catalogues two-models --text >"$place/b/catalogue.toml"
cd "$place"

say "a policy learns live when the large model is worth it"
"$lamas" train --config own.toml --out run 2>&1 | grep -v '^device'

say "it answers: live, compared with what the servers are asked; then from the record of that"
"$lamas" evaluate run --alone --config own.toml --record live.jsonl --out live 2>&1 | grep '^model\|^all\|^calls\|trained con'
# Recorded outputs replace all operators; those that no plan has asked yet are asked now.
"$lamas" record --split test --readers --config own.toml --out live.jsonl 2>&1 | grep '^model\|^all\|^calls'
"$lamas" evaluate run --alone --config own.toml --traces live.jsonl --out replayed 2>&1 | grep '^model\|trained con'
mapfile -t questions < <(python3 -c 'import json; [print(json.loads(line)["question"]) for line in open("b/test.jsonl")]')
# run NAME FLAG...: answers the first questions.
run() {
    local name=$1
    shift
    for number in 0 1 2 3 4 5; do
        "$lamas" run "${questions[$number]}" --checkpoint run --config own.toml --json "$@" >"$name-$number.json" \
            2>"$name-$number.log" || { cat "$name-$number.log"; exit 1; }
    done
}
run live --cancel virtual --record answers.jsonl
run again --cancel virtual --record answers.jsonl
run replayed --traces live.jsonl
grep -h '^model\|^all\|^calls' live-0.log again-0.log
python3 - <<'PYTHON'
import json
def load(path): return [json.loads(line) for line in open(path)]
for number in range(6):
    live, again, replayed = (json.load(open(f"{name}-{number}.json")) for name in ("live", "again", "replayed"))
    for other in (again, replayed):
        assert live["plan"] == other["plan"] and live["answer"] == other["answer"], (live, other)
        assert abs(live["cost"] - other["cost"]) < 1e-12, (live["cost"], other["cost"])
    assert "requests answered" not in open(f"again-{number}.log").read()
    print(f"question {number}: {live['plan']}, answer {live['answer']}, {live['cost']:.6f} $ live and replayed")
live, replayed = load("live/outcomes.jsonl"), load("replayed/outcomes.jsonl")
# If the vote ended an operator early, its recorded dollars are divided by time; live, its prompt is paid in full.
cut = lambda episode: any(span["usage"]["completion_tokens"] < 20 * span["calls"] for span in episode["trace"]["spans"])
whole = {episode["problem"] for episode in load("live/test-episodes.jsonl") if not cut(episode)}
key = lambda line: (line["method"], line["seed"], line["problem"])
replayed = {key(line): line for line in replayed}
assert live and len(live) == len(replayed)
for line in live:
    other = replayed[key(line)]
    assert line["operators"] == other["operators"] and line["score"] == other["score"], (line, other)
    assert line["problem"] not in whole or abs(line["dollars"] - other["dollars"]) < 1e-12, (line, other)
dollars = sum(line["dollars"] for line in live if line["problem"] in whole)
asked = sum(any(name.startswith("Large") for name in line["operators"]) for line in live)
print(f"{len(live)} test problems: decisions and scores equal, and dollars ({dollars:.6f}) on the {len(whole)} that ran to their end; "
      f"the large model was asked on {asked}")
PYTHON

say "one cap over both: each alone would stay below it"
code=0
"$lamas" record --config own.toml --out capped.jsonl --max-tokens 70000 >capped.log 2>&1 || code=$?
grep '^model\|^all\|^stopped\|max-tokens' capped.log
[ "$code" = 3 ] || { echo "expected exit code 3, found $code"; exit 1; }
python3 - <<'PYTHON'
import re
tokens = int(re.search(r"^all models: .* answered, (\d+) tokens", open("capped.log").read(), re.M)[1])
assert 60_000 < tokens <= 70_000, tokens
print(f"{tokens} of 70000 tokens spent by both together")
PYTHON

say "hedge = 2 over two servers, each of which lets one problem in twenty wait for 2 s"
serve $((port + 3)) sk-large one
serve $((port + 4)) sk-large other
for hedge in 1 2; do
    cat >"b/catalogue.toml" <<TOML
[[model]]
name = "m"
endpoint = "http://127.0.0.1:$((port + 3))"
replicas = ["http://127.0.0.1:$((port + 4))"]
key_env = "LARGE_KEY"
model = "m"
prices = { prompt = 2.0, completion = 8.0 }

[[operator]]
name = "Answer"
kind = "generate"
description = "Answers."
hedge = $hedge
max_tokens = 200
prompt = "{{ question }}"
TOML
    "$lamas" record --out "hedge-$hedge.jsonl" 2>&1 | grep '^model\|^all'
done
python3 - <<'PYTHON'
import json
def figures(path):
    lines = [line for line in map(json.loads, open(path)) if "calls" in line]
    seconds = sorted(call["seconds"] for line in lines for call in line["calls"])
    quantile = lambda share: seconds[min(len(seconds) - 1, int(share * len(seconds)))]
    return len(seconds), quantile(0.5), quantile(0.95), quantile(0.99), sum(line["cost"] for line in lines)
one, two = figures("hedge-1.jsonl"), figures("hedge-2.jsonl")
for name, (count, middle, late, latest, dollars) in (("hedge = 1", one), ("hedge = 2", two)):
    print(f"{name}: {count} calls, p50 {middle:.3f} s, p95 {late:.3f} s, p99 {latest:.3f} s, {dollars:.6f} $")
assert one[3] > 1.5 and two[3] < 0.5, (one, two)
assert one[4] < two[4] <= 2.001 * one[4]
print(f"{100 * (two[4] / one[4] - 1):.0f} % more dollars")
PYTHON

echo
echo "all checks of several models passed"
