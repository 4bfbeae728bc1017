# What crosses between the two processes that judge a solution: frames of JSON in which nothing but plain values occurs.
#
# A value is an item: None, a bool, a short int, a finite float or a string as JSON has them, or `[index]`, which stands
# for an object. New objects come as rows, which name a type and what it holds: `["list", 1, [4]]`. Both sides number
# objects alike, so an object that crossed before, an alias or a cycle is again what it was.
import builtins
import collections
import collections.abc
import importlib
import json
import linecache
import math
import os
import sys
import traceback
import types

LONGEST_FRAME = 8 << 20  # bytes
DEEPEST = 100  # objects inside each other
MOST_ITEMS = 100000  # of an iterator
LONGEST_TEXT = 2000  # characters of what is only shown
SHORT = 1 << 53  # ints from here on are written in base 16, which has no limit of digits


class Breach(BaseException):
    """The other side broke the rules of this file."""


class Uncrossable(Exception):
    """There is no row for an object; the text names its type."""


def expect(condition, what):
    if not condition:
        raise Breach("expected " + what)


class Channel:
    """Sends and receives frames by a descriptor: four bytes that tell the length, then the text."""

    def __init__(self, descriptor):
        self.descriptor = descriptor

    def send(self, frame):
        data = json.dumps(frame, separators=(",", ":"), allow_nan=False).encode("ascii")
        expect(len(data) <= LONGEST_FRAME, "at most %d bytes to cross at once" % LONGEST_FRAME)
        rest = memoryview(len(data).to_bytes(4, "big") + data)
        while rest:
            rest = rest[os.write(self.descriptor, rest):]

    def receive(self):
        size = int.from_bytes(self.read(4), "big")
        expect(size <= LONGEST_FRAME, "at most %d bytes to cross at once" % LONGEST_FRAME)
        return json.loads(self.read(size).decode("ascii"), parse_int=short, parse_constant=no_number)

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            part = os.read(self.descriptor, min(size - len(data), 1 << 16))
            if not part:
                raise EOFError
            data += part
        return bytes(data)


def short(digits):
    expect(len(digits) <= 17, "long ints in base 16")
    return int(digits)


def no_number(name):
    raise Breach("expected a number, found " + name)


class Writer:
    """Turns values into items, with rows for the objects that `objects` lacks."""

    def __init__(self, objects=()):
        self.objects = list(objects)
        self.indices = {id(value): index for index, value in enumerate(self.objects)}
        self.rows = []
        self.depth = 0
        # Tuples and the like that are not complete.
        self.open = set()
        # Names of types that cross as something simpler.
        self.simplified = set()

    def item(self, value):
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if (kind is int and -SHORT < value < SHORT) or (kind is float and math.isfinite(value)):
            return value
        index = self.indices.get(id(value))
        if index in self.open:
            raise Uncrossable("cyclic " + kind.__name__)
        return [self.add(value) if index is None else index]

    def items(self, values):
        return [self.item(value) for value in list(values)]

    def add(self, value):
        expect(self.depth < DEEPEST, "at most %d objects inside each other" % DEEPEST)
        index, place = len(self.objects), len(self.rows)
        self.objects.append(value)
        self.indices[id(value)] = index
        self.rows.append(None)
        if type(value) not in FILL:
            self.open.add(index)
        self.depth += 1
        self.rows[place] = self.row(value)
        self.depth -= 1
        self.open.discard(index)
        return index

    def row(self, value):
        value = self.plain(value)
        for base in type(value).__mro__:
            if base in WRITE:
                if base is not type(value):
                    self.simplified.add(type(value).__name__)
                return [base.__name__] + WRITE[base](self, value)
            if (base.__module__, base.__name__) in IMPORTED:
                return [base.__name__] + IMPORTED[base.__module__, base.__name__](self, value)
        if hasattr(type(value), "__next__"):
            return ["iterator"] + self.iterator(value)
        return self.other(value)

    def plain(self, value):
        """What an object is equal to, where that is plainer than the object."""
        kind = type(value)
        scalar = getattr(sys.modules.get("numpy"), "generic", None)
        if kind in WRITE:
            return value
        if isinstance(scalar, type) and issubclass(kind, scalar):
            plain = value.item()
        elif issubclass(kind, (collections.UserList, collections.UserString)):
            plain = value.data
        elif issubclass(kind, collections.abc.Mapping) and not issubclass(kind, dict):
            plain = dict(value.items())
        elif issubclass(kind, collections.abc.Set) and not issubclass(kind, (set, frozenset) + VIEWS):
            plain = set(value)
        else:
            return value
        self.simplified.add(kind.__name__)
        return plain

    def iterator(self, value):
        """How it goes on after its items, then the items."""
        items, end = [], None
        try:
            for item in value:
                if len(items) == MOST_ITEMS:
                    end = "longer"
                    break
                items.append(item)
        except Exception as error:
            end = self.error(error)
        return [end] + self.items(items)

    def error(self, error):
        """The nearest builtin class of an exception, and what it says."""
        kind = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
        if kind is not type(error):
            self.simplified.add(type(error).__name__)
        try:
            text = str(error)
        except Exception:
            text = ""
        try:
            arguments = self.item(tuple(error.args))
        except Uncrossable:
            arguments = None
        return {"class": kind.__name__, "text": text, "arguments": arguments}


# The types of what `dict` gives of its keys, values and items.
VIEWS = KEYS, VALUES, ITEMS = type({}.keys()), type({}.values()), type({}.items())
# Methods are those of the builtin type, whatever a subclass makes of them.
WRITE = {
    int: lambda writer, value: [format(int.__index__(value), "x")],
    float: lambda writer, value: ["math.nan" if value is math.nan else float.hex(value)],
    complex: lambda writer, value: [writer.item(value.real), writer.item(value.imag)],
    str: lambda writer, value: [str.__str__(value)],
    bytes: lambda writer, value: [bytes.hex(value)],
    bytearray: lambda writer, value: [bytearray.hex(value)],
    list: lambda writer, value: writer.items(list.__iter__(value)),
    tuple: lambda writer, value: writer.items(tuple.__iter__(value)),
    set: lambda writer, value: writer.items(set.__iter__(value)),
    frozenset: lambda writer, value: writer.items(frozenset.__iter__(value)),
    dict: lambda writer, value: writer.items(part for pair in list(dict.items(value)) for part in pair),
    collections.deque: lambda writer, value: writer.items(collections.deque.__iter__(value)),
    range: lambda writer, value: writer.items((value.start, value.stop, value.step)),
    KEYS: lambda writer, value: writer.items(value),
    VALUES: lambda writer, value: writer.items(value),
    ITEMS: lambda writer, value: writer.items(part for pair in list(value) for part in pair),
}

# Those that a program has only if it imported them.
IMPORTED = {
    ("decimal", "Decimal"): lambda writer, value: [str(value)],
    ("fractions", "Fraction"): lambda writer, value: writer.items((value.numerator, value.denominator)),
}


class Reader:
    """Turns items back into values; nothing but what the rows of this file can say comes out."""

    def __init__(self, rows, objects=()):
        expect(type(rows) is list, "a list of rows")
        self.known = len(objects)
        self.rows = rows
        self.objects = list(objects) + [MISSING] * len(rows)
        self.depth = 0

    def value(self, item):
        if item is None or type(item) in (bool, int, float):
            return item
        if type(item) is str:
            # As the constants of a program are.
            return sys.intern(item)
        expect(type(item) is list and len(item) == 1 and type(item[0]) is int, "an item")
        index = item[0]
        expect(0 <= index < len(self.objects), "the index of an object")
        if self.objects[index] is MISSING:
            self.build(index)
        expect(self.objects[index] is not OPEN, "a tuple that does not hold itself")
        return self.objects[index]

    def values(self, items):
        return [self.value(item) for item in items]

    def pairs(self, items):
        values = self.values(items)
        expect(len(values) % 2 == 0, "pairs")
        return list(zip(values[::2], values[1::2]))

    def build(self, index):
        row = self.rows[index - self.known]
        expect(type(row) is list and row and type(row[0]) is str, "a row")
        name, items = row[0], row[1:]
        expect(self.depth < DEEPEST, "at most %d objects inside each other" % DEEPEST)
        self.depth += 1
        if name in MUTABLE:
            self.objects[index] = MUTABLE[name]()
            self.fill(self.objects[index], name, items)
        else:
            self.objects[index] = OPEN
            expect(name in READ, "a type that can cross")
            self.objects[index] = READ[name](self, *items)
        self.depth -= 1

    def fill(self, target, name, items):
        """Gives an object that can be changed that content."""
        kind = MUTABLE.get(name)
        expect(kind is not None and isinstance(target, kind), "the type that an object has")
        FILL[kind](self, target, items)

    def series(self, end, *items):
        """What there is to go through, the exception at its end, and whether it goes on."""
        values = self.values(items)
        error = self.error(end) if type(end) is dict else None
        expect(end is None or error or end == "longer", "the end of an iterator")
        return values, error, end == "longer"

    def error(self, raised):
        name, text = raised.get("class"), raised.get("text")
        expect(type(name) is str and type(text) is str, "an exception")
        kind = getattr(builtins, name, None)
        expect(isinstance(kind, type) and issubclass(kind, BaseException), "a builtin exception")
        arguments = self.value(raised.get("arguments"))
        expect(arguments is None or type(arguments) is tuple, "the arguments of an exception")
        # Some classes want arguments of a certain kind.
        for base in kind.__mro__:
            for given in (arguments, (text,)):
                try:
                    error = base(*given)
                except Exception:
                    continue
                if given != arguments or str(error) == text:
                    return error
        return Exception(text)

    def opaque(self, *items):
        """What stands here for an object that stays on its side."""
        raise NotImplementedError


def replay(values, error, is_longer):
    yield from values
    expect(not is_longer, "an iterator of at most %d items" % MOST_ITEMS)
    if error is not None:
        raise error


def imported(module, name, *arguments):
    return getattr(importlib.import_module(module), name)(*arguments)


def fill_list(reader, target, items):
    list.__setitem__(target, slice(None), reader.values(items))


def fill_dict(reader, target, items):
    pairs = reader.pairs(items)
    dict.clear(target)
    dict.update(target, pairs)


def fill_deque(reader, target, items):
    values = reader.values(items)
    collections.deque.clear(target)
    collections.deque.extend(target, values)


def fill_set(reader, target, items):
    values = reader.values(items)
    set.clear(target)
    set.update(target, values)


def fill_bytearray(reader, target, items):
    bytearray.__setitem__(target, slice(None), bytes.fromhex(*items))


MISSING, OPEN = object(), object()
FILL = {list: fill_list, dict: fill_dict, set: fill_set, bytearray: fill_bytearray, collections.deque: fill_deque}
MUTABLE = {kind.__name__: kind for kind in FILL}
READ = {
    "int": lambda reader, digits: int(digits, 16),
    "float": lambda reader, text: math.nan if text == "math.nan" else float.fromhex(text),
    "complex": lambda reader, real, imaginary: complex(float(reader.value(real)), float(reader.value(imaginary))),
    "str": lambda reader, text: str.__str__(text),
    "bytes": lambda reader, text: bytes.fromhex(text),
    "tuple": lambda reader, *items: tuple(reader.values(items)),
    "frozenset": lambda reader, *items: frozenset(reader.values(items)),
    "range": lambda reader, *items: range(*reader.values(items)),
    "dict_keys": lambda reader, *items: dict.fromkeys(reader.values(items)).keys(),
    "dict_values": lambda reader, *items: dict(enumerate(reader.values(items))).values(),
    "dict_items": lambda reader, *items: dict(reader.pairs(items)).items(),
    "Decimal": lambda reader, text: imported("decimal", "Decimal", text),
    "Fraction": lambda reader, *items: imported("fractions", "Fraction", *reader.values(items)),
    "iterator": lambda reader, *items: replay(*reader.series(*items)),
    "opaque": lambda reader, *items: reader.opaque(*items),
}


def read_job():
    """The file that says what to do, which is not left behind."""
    with open("job.json", encoding="utf-8") as file:
        job = json.load(file)
    os.remove("job.json")
    return job


def take(descriptor):
    """A copy of a descriptor, which is empty from now on for whoever knows its number."""
    copy = os.dup(descriptor)
    empty = os.open(os.devnull, os.O_RDWR)
    os.dup2(empty, descriptor)
    os.close(empty)
    return copy


def load(name, source, namespace):
    """Runs a part of the program. A prompt may end where the body of its function begins."""
    file = name + ".py"
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    try:
        code = compile(source, file, "exec")
    except SyntaxError:
        if name != "prompt":
            raise
        code = compile(source + "\n    pass\n", file, "exec")
    exec(code, namespace)


def frames(error):
    """Where an exception was raised, without this program's own part of the way."""
    ours = traceback.extract_tb(error.__traceback__)
    return "".join(traceback.format_list([frame for frame in ours if frame.filename != "program.py"]))


def last_line(error):
    return "".join(traceback.format_exception_only(type(error), error))
