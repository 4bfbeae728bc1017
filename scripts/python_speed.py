"""Measures the Python package: import, and plans with and without a budget, by a run that serves many latency weights."""

import json
import statistics
import subprocess
import sys
import time

import lamas

QUESTION = (
    "in the morning a farmer brings 48 baskets with 24 apples each to the market . he sells 7 baskets before noon and 19 more "
    "in the afternoon . on the way home he gives 15 single apples to his neighbours . how many apples are left by now ?"
)


def median(work, times):
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def import_seconds():
    code = "import time; began = time.perf_counter(); import lamas; print(time.perf_counter() - began)"
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main():
    agent = lamas.Agent.open(sys.argv[1])
    import_seconds()
    print(f"import, median of 10: {statistics.median(import_seconds() for _ in range(10)):.4f} s (at most 0.3)")
    words = len(QUESTION.split())
    for name, most, options in [("without a budget", 200, {}), ("with a budget", 500, {"budget": "60tokens"})]:
        taken = median(lambda: agent.plan(QUESTION, **options), 2000) * 1e6
        print(f"agent.plan, {words} words, {name}, median of 2000: {taken:.0f} microseconds (at most {most})")
    tight = median(lambda: agent.plan(QUESTION, budget="1tokens"), 500) * 1e6
    print(f"agent.plan, a budget that no plan keeps, median of 500: {tight:.0f} microseconds")
    print(json.dumps({"plan": str(agent.plan(QUESTION)), "within": str(agent.plan(QUESTION, budget="60tokens"))}))


if __name__ == "__main__":
    main()
