# The side of the solution: loads it and answers calls of its function. It holds no test. Nothing that this process says
# is trusted; a solution that turns this file against itself only spoils its own answers.


class Answer(Writer):
    """Writes results; what cannot cross stays here, under a number."""

    def __init__(self, objects, kept):
        super().__init__(objects)
        self.kept = kept

    def other(self, value):
        number = next((number for number, other in enumerate(self.kept) if other is value), None)
        if number is None:
            number = len(self.kept)
            self.kept.append(value)
        try:
            truth = bool(value)
        except Exception:
            truth = None
        series = self.iterator(value) if hasattr(type(value), "__iter__") else []
        return ["opaque", number, type(value).__name__, truth] + series


class Call(Reader):
    """Reads arguments."""

    def __init__(self, rows, kept):
        super().__init__(rows)
        self.kept = kept

    def opaque(self, number):
        return self.kept[number]


def trace(error):
    return (frames(error) + last_line(error))[-LONGEST_TEXT:]


def rows(writer, indices):
    return {index: writer.row(writer.objects[index]) for index in indices}


def differ(one, other):
    # As text: 1 and True are equal.
    return json.dumps(one) != json.dumps(other)


def answer(function, frame, kept):
    """Calls the function; the frame that says what came of it, and which arguments it changed."""
    call = Call(frame["heap"], kept)
    arguments, keywords = call.values(frame["arguments"]), dict(call.pairs(frame["keywords"]))
    mutable = [index for index, value in enumerate(call.objects) if type(value) in FILL]
    before = rows(Answer(call.objects, kept), mutable)
    reply = {"call": frame["call"]}
    try:
        writer = Answer(call.objects, kept)
        reply["result"] = writer.item(function(*arguments, **keywords))
    except (Breach, Uncrossable):
        raise
    except BaseException as error:
        writer = Answer(call.objects, kept)
        reply["raised"], reply["trace"] = writer.error(error), trace(error)
    after = rows(writer, mutable)
    reply["changed"] = [[index, after[index]] for index in mutable if differ(after[index], before[index])]
    reply["heap"], reply["simplified"] = writer.rows, sorted(writer.simplified)
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
    kept = []
    while True:
        try:
            frame = channel.receive()
        except EOFError:
            # The tests have ended.
            os._exit(0)
        try:
            channel.send(answer(function, frame, kept))
        except (Breach, Uncrossable) as error:
            channel.send({"call": frame["call"], "breach": str(error)})


main()
