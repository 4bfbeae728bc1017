"""Answers a question within a budget and prints what happens: `python answer.py runs/RUN "QUESTION" [BUDGET]`."""

import asyncio
import sys

import lamas


async def main() -> None:
    agent = lamas.Agent.open(sys.argv[1])
    question, budget = sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    plan = agent.plan(question, budget=budget)
    print("plan:", plan, "predicted:", plan.predicted, "within the budget:", plan.within_budget)
    stream = agent.stream(question, budget=budget)
    async for event in stream:
        print(f"{event.at.tokens:8.1f} tokens  {event.choice} {event.operator} {event.kind} {event.answer or ''}")
    answer = await stream.answer()
    print(f"answer: {answer.answer}, {answer.tokens:.0f} tokens, {answer.cost:.6f} $")


if __name__ == "__main__":
    asyncio.run(main())
