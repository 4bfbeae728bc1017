"""Your own asyncio program executes what an agent decides: `python session.py runs/RUN "QUESTION" [BUDGET]`."""

import asyncio
import sys
from typing import Dict, List

import lamas


async def execute(agent: lamas.Agent, question: str, start: lamas.Start) -> lamas.Ended:
    """Stands for a call of your own. Here the run's model answers; what reads a solution leaves it as it is."""
    if start.solutions:
        return lamas.Ended(start.choice)
    answer = await agent.answer_async(question, plan=start.operator, draw=start.choice)
    tokens = answer.completion_tokens
    return lamas.Ended(start.choice, lamas.Solution(answer.text or "", answer.answer, tokens=tokens))


async def decide(agent: lamas.Agent, question: str, session: lamas.Session) -> lamas.Step:
    running: Dict[int, "asyncio.Task[lamas.Ended]"] = {}
    step = session.next()
    while step.action != "end":
        for start in step.start:
            running[start.choice] = asyncio.create_task(execute(agent, question, start))
        for choice in step.cancel:
            running.pop(choice).cancel()
        reports: List[lamas.Ended] = []
        if step.action == "wait":
            done, _ = await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            reports = [task.result() for task in done]
        for report in reports:
            del running[report.choice]
        print(step.action, step.layers, [report.choice for report in reports])
        step = session.next(reports)
    for task in running.values():
        task.cancel()
    return step


def main() -> None:
    agent = lamas.Agent.open(sys.argv[1])
    question, budget = sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
    session = agent.session(question, budget=budget, record="outcomes.jsonl")
    print("plan:", session.first, session.first.predicted)
    print("answer:", asyncio.run(decide(agent, question, session)).answer)


if __name__ == "__main__":
    main()
