# The side of the tests: runs them on a stand-in for the function, which asks the other process for every result. The
# prompt runs here as well, because some tests call what it defines. Nothing of the solution runs here.


class Unsupported(BaseException):
    """The tests need what the two processes cannot give."""


class Opaque:
    """Stands for an object that stays with the solution: it is itself, it is true or not, and that is all."""

    def __init__(self, name, truth):
        self.__name, self.__truth = name, truth

    def __bool__(self):
        if self.__truth is None:
            raise TypeError("the truth of `%s` is not known" % self.__name)
        return self.__truth

    def __repr__(self):
        return "<%s>" % self.__name


class Series(Opaque):
    """One that can be gone through."""

    def __init__(self, name, truth, *items):
        super().__init__(name, truth)
        self.__items = items

    def __iter__(self):
        return replay(*self.__items)


class Questions(Heap):
    """Writes arguments and reads results; nothing but what the rows of `Heap` can say comes out."""

    def __init__(self):
        super().__init__()
        # Names of types whose values did not cross.
        self.foreign = set()

    def iterator(self, value):
        # The test may check how far it was read.
        self.simplified.add(type(value).__name__)
        return super().iterator(value)

    def touch(self, index):
        # For an object that stays with the solution, the solution says what it is.
        if self.names[index] != "opaque":
            super().touch(index)

    def other(self, value):
        raise Uncrossable(type(value).__name__)

    def opaque(self, name, truth, *series):
        expect(type(name) is str, "a name")
        expect(truth is None or type(truth) is bool, "a truth")
        self.foreign.add(name[:99])
        return Series(name[:99], truth, *self.series(*series)) if series else Opaque(name[:99], truth)


class StandIn:
    """What the tests call. What they do to it otherwise is unsupported."""

    def __init__(self, judge):
        self.__judge = judge

    def __call__(self, *arguments, **keywords):
        return self.__judge.call(arguments, keywords)

    def __getattr__(self, name):
        raise self.__judge.unsupported("`%s` of the function" % name)


class Judge:
    def __init__(self, channel):
        self.channel = channel
        self.heap = Questions()
        self.calls = 0
        # What was reported about the solution's last exception.
        self.raised = self.trace = None
        # Ends the tests for good, whatever they catch.
        self.end = None
        self.has_left = False
        # Types of values that crossed as something simpler, or did not cross; this may be why a test fails.
        self.simple_arguments, self.simple_results, self.foreign_results = set(), set(), set()
        self.surroundings = surroundings()

    def unsupported(self, what):
        self.end = self.end or Unsupported(what + " cannot cross to the solution's process")
        return self.end

    def broken(self, what):
        self.end = self.end or Breach(what)
        return self.end

    def receive(self):
        """A frame; all that it says must still be checked."""
        try:
            frame = self.channel.receive()
            expect(type(frame) is dict, "a frame")
            if type(frame.get("breach")) is str:
                raise Breach(frame["breach"])
            return frame
        except (EOFError, OSError):
            self.has_left = True
            raise self.broken("the program exited before its tests ended") from None
        except (Exception, Breach) as error:
            raise self.broken("the result cannot be read: %s" % error) from None

    def call(self, arguments, keywords):
        if self.end:
            raise self.end
        now = surroundings()
        for name, before in self.surroundings.items():
            if now[name] != before:
                raise self.unsupported(name)
        self.calls += 1
        heap, frame = self.heap, {"call": self.calls}
        try:
            frame["arguments"] = heap.items(arguments)
            frame["keywords"] = heap.items(part for pair in keywords.items() for part in pair)
            frame.update(heap.written())
            self.channel.send(frame)
        except Uncrossable as error:
            raise self.unsupported("an argument of type `%s`" % error) from None
        except Breach as error:
            raise self.unsupported("an argument (%s)" % error) from None
        except OSError:
            # It has exited; what it said before may still be there.
            pass
        reply = self.receive()
        try:
            error, result = self.result(reply)
        except (Exception, Breach) as fault:
            raise self.broken("the result cannot be read: %s" % fault) from None
        self.simple_arguments |= heap.simplified
        self.foreign_results |= heap.foreign
        if self.channel.bytes > MOST_BYTES:
            self.heap, self.channel.bytes = Questions(), 0
        if error is not None:
            self.raised, self.trace = error, shown(reply.get("trace"))
            raise error
        return result

    def result(self, reply):
        """The exception, or else what was returned, after all is what the call made of it."""
        expect(reply.get("call") == self.calls, "the result of this call")
        names = reply.get("simplified")
        expect(type(names) is list, "names of types")
        self.simple_results.update(shown(name)[:99] for name in names)
        self.heap.read(reply)
        if "raised" in reply:
            expect(type(reply["raised"]) is dict, "an exception")
            return self.heap.exception(reply["raised"]), None
        return None, self.heap.value(reply.get("result"))

    def run(self, job):
        """Runs the tests; the verdict."""
        tests = types.ModuleType("solution")
        sys.modules["solution"] = tests
        try:
            load("prompt", job["prompt"], tests.__dict__)
            # The prompt runs on both sides.
            self.surroundings = surroundings()
            trace = self.receive().get("trace")
            if trace is not None:
                return {"is_right": False, "fault": head() + shown(trace)}
            tests.__dict__[job["entry_point"]] = StandIn(self)
            load("tests", job["tests"], tests.__dict__)
        except BaseException as error:
            self.end = self.end or error
        if self.end is None:
            return {"is_right": True}
        return {"is_right": False, "has_left": self.has_left, "fault": self.fault(), "doubt": self.doubt()}

    def fault(self):
        """For the author of the solution."""
        if isinstance(self.end, (Breach, Unsupported)):
            return str(self.end)
        said = self.trace if self.end is self.raised else last_line(self.end)
        return head() + frames(self.end)[-LONGEST_TEXT:] + said[-LONGEST_TEXT:]

    def doubt(self):
        """Why a solution that fails may be right all the same."""
        if isinstance(self.end, Unsupported):
            return str(self.end)
        if isinstance(self.end, Breach):
            return None
        if self.calls == 0:
            return "the tests fail before they call the solution: " + last_line(self.end).strip()
        if isinstance(self.end, NameError) and self.end is not self.raised:
            return "the tests lack a name: " + str(self.end)
        if isinstance(self.end, FileNotFoundError) and self.end is not self.raised:
            return "the tests lack a file: " + str(self.end)
        for place, names in (("an argument", self.simple_arguments), ("a result", self.foreign_results)):
            if names:
                return "%s of type `%s` cannot cross as it is" % (place, "`, `".join(sorted(names)))
        if self.simple_results and self.end is not self.raised and not isinstance(self.end, AssertionError):
            return "a result of type `%s` cannot cross as it is" % "`, `".join(sorted(self.simple_results))
        return None


def surroundings():
    """What tests may change for a function to see, by what it is."""
    return {
        "a replaced standard stream": (sys.stdin, sys.stdout, sys.stderr),
        "a replaced builtin": dict(vars(builtins)),
        "a file of the tests": sorted(os.listdir()),
        "a variable of the environment": dict(os.environ),
    }


def shown(text):
    return text[-LONGEST_TEXT:] if type(text) is str else ""


def head():
    return "Traceback (most recent call last):\n"


def main():
    channel, out = Channel(take(0)), take(1)
    verdict = Judge(channel).run(read_job())
    os.write(out, json.dumps(verdict, ensure_ascii=False).encode("utf-8", "replace"))
    os._exit(0)


main()
