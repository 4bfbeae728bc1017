"""Checks of the installed Python package: `python check.py RUN`, with a run that serves many latency weights."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lamas

RUN = sys.argv.pop(1)
QUESTION = "a hall has 432 rows of 6 seats . how many seats are in the hall ?"
AGENT = lamas.Agent.open(RUN)

# Whatever is confined says 42; otherwise it says what it could do.
ESCAPES = """
import os, socket
done = []
for name, attempt in {
    "read": lambda: open("/etc/hostname").read(),
    "list": lambda: os.listdir("/home"),
    "network": lambda: socket.socket(),
    "process": lambda: os.fork(),
    "write": lambda: open("/tmp/escaped", "w"),
}.items():
    try:
        attempt()
        done.append(name)
    except (OSError, ModuleNotFoundError):
        pass
"""


class Answers(unittest.TestCase):
    def test_plans_have_layers_probabilities_and_a_predicted_latency(self):
        plan = AGENT.plan(QUESTION)
        self.assertTrue(plan.layers and all(name in AGENT.operators for layer in plan.layers for name in layer))
        self.assertEqual([set(layer) for layer in plan.probabilities], [set(AGENT.operators)] * len(plan.layers))
        self.assertTrue(all(0 <= share <= 1 for layer in plan.probabilities for share in layer.values()))
        self.assertGreater(plan.predicted.tokens, 0)
        self.assertGreaterEqual(plan.bound.tokens, plan.predicted.tokens)
        short, long = (AGENT.plan(QUESTION, budget=budget) for budget in ("8tokens", "500tokens"))
        self.assertTrue(long.within_budget)
        self.assertLessEqual(short.bound.tokens, long.bound.tokens)
        self.assertEqual(AGENT.plan(QUESTION, budget=9), AGENT.plan(QUESTION, budget="9s"))

    def test_a_question_is_answered_and_its_events_are_heard(self):
        events = []
        answer = AGENT.answer(QUESTION, plan=[["Generate", "GenerateCoT"], ["ScEnsemble"]], on_event=events.append)
        self.assertEqual(answer.plan, [["Generate", "GenerateCoT"], ["ScEnsemble"]])
        self.assertEqual([event.operator for event in events if event.kind == "committed"], sum(answer.plan, []))
        self.assertIn("arrived", {event.kind for event in events})
        again = AGENT.answer(QUESTION, plan="Generate,GenerateCoT;ScEnsemble")
        self.assertEqual((again.answer, again.tokens), (answer.answer, answer.tokens))

    def test_tasks_answer_side_by_side_and_hear_events(self):
        async def both():
            stream = AGENT.stream(QUESTION, plan="Generate,GenerateCoT")
            other = AGENT.answer_async(QUESTION, plan="Programmer")
            events = [event async for event in stream]
            return events, await stream.answer(), await other

        events, one, other = asyncio.run(both())
        self.assertEqual(events[0].kind, "committed")
        self.assertEqual((one.plan, other.plan), ([["Generate", "GenerateCoT"]], [["Programmer"]]))

    def test_a_cancelled_task_stops(self):
        async def late():
            task = asyncio.ensure_future(AGENT.answer_async(QUESTION, plan="MultiGenerateCoT"))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(late())

    def test_errors_say_what_was_expected_and_what_to_do(self):
        for call, message in [
            (lambda: lamas.Agent.open("/nowhere"), "/nowhere"),
            (lambda: AGENT.answer(""), "expected a question"),
            (lambda: AGENT.plan(QUESTION, budget="soon"), "expected a budget such as `2s`"),
            (lambda: AGENT.plan(QUESTION, budget="2s", latency_weight=0.1), "found several"),
            (lambda: AGENT.answer(QUESTION, plan="Genrate"), "Genrate"),
            (lambda: AGENT.session(QUESTION, plan="Generate").next(lamas.Ended(0)), "found 0"),
            (lambda: lamas.Agent.untrained().controller, "hint: open a run"),
            (lambda: lamas.train(out=RUN), "already contains a run; hint: "),
            (lambda: lamas.train(out="x", arguments=["--no-such-flag"]), "--no-such-flag"),
            (lambda: lamas.grade("physics", []), "found `physics`"),
        ]:
            with self.assertRaises(lamas.InputError) as caught:
                call()
            self.assertIn(message, str(caught.exception))
            self.assertIsInstance(caught.exception, (lamas.Error, ValueError))
        self.assertTrue(lamas.Error("a; hint: b").hint == "b" and lamas.Error("a").hint is None)

    def test_a_program_with_an_event_loop_ends_cleanly(self):
        code = f"""
import asyncio, lamas
agent = lamas.Agent.open({RUN!r})
async def main():
    await asyncio.gather(*(agent.answer_async("2 + 2 ?", plan="Generate", draw=draw) for draw in range(3)))
    left = agent.stream("2 + 2 ?", plan="MultiGenerateCoT")
    await agent.answer_async("2 + 3 ?", plan="Generate")
    left.cancel()
asyncio.run(main())
"""
        for _ in range(5):
            ran = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True)
            self.assertEqual((ran.returncode, ran.stderr), (0, ""))

    def test_ctrl_c_stops_an_answer_that_waits(self):
        def interrupt(event):
            if event.kind == "started":
                signal.raise_signal(signal.SIGINT)

        with self.assertRaises(KeyboardInterrupt):
            AGENT.answer(QUESTION, plan="MultiGenerateCoT", on_event=interrupt)

    def test_other_threads_go_on_meanwhile(self):
        counted, stop = [0], threading.Event()

        def count():
            while not stop.is_set():
                counted[0] += 1
                time.sleep(0.0005)

        thread = threading.Thread(target=count)
        thread.start()
        for draw in range(20):
            AGENT.answer(QUESTION, plan="MultiGenerateCoT", draw=draw)
        stop.set()
        thread.join()
        self.assertGreater(counted[0], 20)

    def test_an_agent_does_not_survive_a_fork_silently(self):
        child = os.fork()
        if child == 0:
            try:
                AGENT.plan(QUESTION)
            except lamas.InputError as error:
                os._exit(0 if "fork" in str(error) else 1)
            os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


class Interrupts(unittest.TestCase):
    def test_ctrl_c_stops_training(self):
        with Endpoint(delay=60) as endpoint, tempfile.TemporaryDirectory() as folder:
            benchmark = str(confined_benchmark(Path(folder)))
            places = f"out={folder + '/run'!r}, benchmark={benchmark!r}, endpoint={endpoint.url!r}"
            call = f"import lamas; lamas.train({places}, model_name='m', price=0, arguments=['--cache-mode', 'off'])"
            program = subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.PIPE, text=True)
            self.assertTrue(endpoint.asked.wait(60))
            program.send_signal(signal.SIGINT)
            _, faults = program.communicate(timeout=50)
        self.assertNotEqual(program.returncode, 0)
        self.assertIn("KeyboardInterrupt", faults)

    def test_ctrl_c_ends_the_command(self):
        words = [sys.executable, "-m", "lamas", "run", "-"]
        command = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(2)
        command.send_signal(signal.SIGINT)
        self.assertEqual(command.wait(timeout=30), -signal.SIGINT)
        command.stdin.close()
        command.stderr.close()


class Sessions(unittest.TestCase):
    def test_a_session_starts_reads_records_and_ends(self):
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.jsonl"
            session = AGENT.session(QUESTION, plan="Generate,GenerateCoT;SelfRefine", record=record, problem="p1")
            step = session.next()
            self.assertEqual((step.action, step.layers), ("commit", [["Generate", "GenerateCoT"], ["SelfRefine"]]))
            self.assertEqual([start.operator for start in step.start], ["Generate", "GenerateCoT"])
            self.assertEqual(session.next().action, "wait")
            step = session.next(
                [
                    lamas.Ended(0, lamas.Solution("it is 7", tokens=3, cost=0.5)),
                    lamas.Ended(1, [lamas.Solution("eight", answer="8", tokens=30)]),
                ]
            )
            self.assertEqual((step.start[0].operator, step.start[0].solutions), ("SelfRefine", ["it is 7", "eight"]))
            step = session.next(lamas.Failed(2, "the server is down"))
            self.assertEqual((step.action, step.answer, step.cost > 0.4), ("end", "8", True))
            lines = [json.loads(line) for line in record.read_text().splitlines()]
        self.assertEqual([(line["problem"], line["operator"]) for line in lines], [("p1", "Generate"), ("p1", "GenerateCoT")])
        self.assertEqual(lines[0]["solutions"][0]["answer"], "7")
        self.assertEqual(lines[0]["cost"], 0.5)

    def test_the_record_of_sessions_is_one_that_the_command_reads(self):
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.jsonl"
            sessions = [AGENT.session(QUESTION, plan="Generate", record=record, problem="p") for _ in range(3)]
            for session in sessions:
                session.next()
                session.next(lamas.Ended(0, lamas.Solution("7", score=1.0)))
            del session, sessions
            shown = subprocess.run(["lamas", "record", "show", record], capture_output=True, text=True)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("Generate", shown.stdout)


class Networks(unittest.TestCase):
    def test_arrays_have_a_row_for_each_question_and_layer(self):
        import numpy

        controller = AGENT.controller
        rows = controller.embed([QUESTION, "another ?"])
        self.assertEqual((rows.shape, rows.dtype), ((2, 384), numpy.float32))
        self.assertTrue(numpy.allclose(numpy.linalg.norm(rows, axis=1), 1, atol=1e-4))
        low, high = AGENT.latency_weights
        likely = controller.probabilities(QUESTION, latency_weight=low)
        self.assertEqual(likely.shape[1], len(AGENT.operators))
        plans = ["GenerateCoT", "Generate", [["Generate", "GenerateCoT"], ["ScEnsemble"]]]
        found = controller.log_probabilities(QUESTION, plans, latency_weight=high)
        self.assertTrue(found.shape == (3,) and (found <= 0).all() and numpy.exp(found).sum() <= 1)

    def test_numpy_is_loaded_only_for_arrays(self):
        code = f"""
import sys, lamas
agent = lamas.Agent.open({RUN!r})
agent.plan("how many ?")
assert "numpy" not in sys.modules and "asyncio" not in sys.modules
agent.controller.embed("how many ?")
assert "numpy" in sys.modules
"""
        subprocess.run([sys.executable, "-c", code], check=True)


class Grades(unittest.TestCase):
    def test_answers_and_code_are_graded(self):
        math = lamas.grade("math", [{"pred": "0.5", "ref": "\\frac{1}{2}"}, {"text": "so \\boxed{3}", "ref": "4"}])
        self.assertEqual([(grade.correct, grade.extracted) for grade in math], [(True, "0.5"), (False, "3")])
        task = {
            "task_id": "t/1",
            "prompt": "def twice(x):\n",
            "entry_point": "twice",
            "test": "def check(candidate):\n    assert candidate(2) == 4\n",
            "canonical_solution": "    return 2 * x\n",
        }
        code = [{"task_id": "t/1", "completion": f"    return {body}\n"} for body in ("x + x", "x")]
        self.assertEqual([grade.correct for grade in lamas.grade("humaneval", code, tests=[task])], [True, False])


class Endpoint:
    """An OpenAI-compatible server whose model writes a program that tries to get out."""

    def __init__(self, delay=0.0):
        asked = self.asked = threading.Event()
        program = "```python\n" + ESCAPES + 'print("did " + " ".join(done) if done else 42)\n```'

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.reply({"object": "list", "data": [{"id": "m", "object": "model"}]})

            def do_POST(self):
                asked.set()
                self.rfile.read(int(self.headers["content-length"]))
                time.sleep(delay)
                message = {"role": "assistant", "content": program}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self.reply({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 7}})

            def reply(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def confined_benchmark(folder):
    """A benchmark whose right answer is that of programs that cannot get out."""
    benchmark = folder / "benchmark"
    benchmark.mkdir()
    (benchmark / "look.py").write_text(
        ESCAPES + 'import json\nanswer = "did " + " ".join(done) if done else "42"\nprint(json.dumps({"solution": answer}))\n'
    )
    (benchmark / "catalogue.toml").write_text(
        """
[[operator]]
name = "Programmer"
kind = "program"
description = "Writes a program."
language = "python"
prompt = "{{ question }}"
max_tokens = 100
[[operator]]
name = "Look"
kind = "command"
description = "Looks around."
command = ["python3", "look.py"]
"""
    )
    (benchmark / "benchmark.toml").write_text(
        """
name = "confined"
description = "What programs can do."
answer = "integer"
catalogue = "catalogue.toml"
[splits]
train = "train.jsonl"
validation = "validation.jsonl"
test = "test.jsonl"
[reward]
latency_weight = 0.001
cost_weight = 1.0
gamma = 50.0
"""
    )
    for split in ("train", "validation", "test"):
        problem = {"question": f"what can you do in {split} ?", "answer": "42"}
        lines = (json.dumps({"id": f"{split}-{number}", **problem}) for number in range(1))
        (benchmark / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return benchmark


class Confined(unittest.TestCase):
    def test_programs_and_commands_run_confined_by_the_installed_package(self):
        with Endpoint() as endpoint, tempfile.TemporaryDirectory() as folder:
            benchmark = confined_benchmark(Path(folder))
            flags = ["--benchmark", benchmark, "--endpoint", endpoint.url, "--model-name", "m", "--price", "0", "--cache-mode", "off"]
            for plan in ("Programmer", "Look"):
                ran = subprocess.run(
                    ["lamas", "run", "what ?", "--plan", plan, "--json", *flags], capture_output=True, text=True
                )
                self.assertEqual(ran.returncode, 0, ran.stderr)
                self.assertEqual(json.loads(ran.stdout)["answer"], "42", ran.stdout)
                self.assertNotIn("without a sandbox", ran.stderr)
            # The same inside this process.
            run = lamas.train(
                out=Path(folder) / "run",
                benchmark=benchmark,
                endpoint=endpoint.url,
                model_name="m",
                price=0,
                arguments=["--cache-mode", "off"],
            )
            agent = lamas.Agent.open(run.folder, endpoint=endpoint.url, run_commands=True)
            for plan in ("Programmer", "Look"):
                self.assertEqual(agent.answer("what ?", plan=plan).answer, "42")


if __name__ == "__main__":
    unittest.main(verbosity=2)
