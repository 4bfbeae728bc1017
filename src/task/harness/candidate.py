# The side of the solution: loads it and answers calls of its function. It contains no tests. Nothing that this process says
# is trusted; a solution that manipulates this file only spoils its own answers.


class Answers(Heap):
    """What cannot cross stays here; its row says what the tests may know of it."""

    def other(self, value):
        try:
            truth = bool(value)
        except Exception:
            truth = None
        series = self.iterator(value) if hasattr(type(value), "__iter__") else []
        return ["opaque", type(value).__name__, truth] + series


def trace(error):
    return (frames(error) + last_line(error))[-LONGEST_TEXT:]


def answer(function, frame, heap):
    """Calls the function; the frame that says what came of it, and what it changed."""
    heap.read(frame)
    arguments, keywords = heap.values(frame["arguments"]), dict(heap.pairs(frame["keywords"]))
    reachable = heap.look(frame["arguments"] + frame["keywords"])
    count = len(heap.objects)
    reply = {"call": frame["call"]}
    try:
        reply["result"] = heap.item(function(*arguments, **keywords))
    except (Breach, Uncrossable):
        raise
    except BaseException as error:
        heap.undo(count)
        reply["raised"], reply["trace"] = heap.raised(error), trace(error)
    for index in reachable:
        heap.touch(index)
    reply.update(heap.written(), simplified=sorted(heap.simplified))
    return reply


def loaded(job):
    """The function that the tests call."""
    solution = types.ModuleType("solution")
    sys.modules["solution"] = solution
    for name in ("prompt", "solution"):
        load(name, job[name], solution.__dict__)
    if job["entry_point"] not in solution.__dict__:
        raise NameError("name '%s' is not defined" % job["entry_point"])
    return solution.__dict__[job["entry_point"]]


def main():
    channel = Channel(take(0))
    try:
        function = loaded(read_job())
    except BaseException as error:
        channel.send({"trace": trace(error)})
        return
    channel.send({"trace": None})
    heap = Answers()
    while True:
        try:
            frame = channel.receive()
        except EOFError:
            # The tests have ended.
            os._exit(0)
        try:
            channel.send(answer(function, frame, heap))
        except (Breach, Uncrossable) as error:
            channel.send({"call": frame["call"], "breach": str(error)})
        if channel.bytes > MOST_BYTES:
            heap, channel.bytes = Answers(), 0


main()
