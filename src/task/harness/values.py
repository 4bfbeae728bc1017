# The values in frames, and how both sides keep them.
#
# A value is an item: None, a bool, a short int, a finite float or a string as JSON has them, or `[index]`, which stands
# for an object. New objects come as rows, which name a type and its contents: `["list", 1, [4]]`. Both sides number
# objects alike, so an object that crossed before, an alias or a cycle keeps its identity. If an object has changed, its
# row is sent again.
import builtins
import collections
import collections.abc
import importlib
import itertools
import marshal
import math

DEEPEST = 100  # nested objects
MOST_ITEMS = 100000  # of an iterator
MOST_BYTES = 16 << 20  # of all frames until both sides forget what crossed
MOST_SEEN = 2048  # bytes of rows that are checked again even if no call named them
SHORT = 1 << 53  # ints of this size or more are written in base 16, which has no digit limit


class Heap:
    """The objects that have crossed, as one side has them."""

    def __init__(self):
        self.objects = []
        self.indices = {}
        # The type of each object, as its row names it.
        self.names = []
        # What the other side knows of objects that can change, as bytes, because 1 and True are equal.
        self.seen = {}
        # Names of types whose values cross as something simpler.
        self.simplified = set()
        self.clear()

    def clear(self):
        """Begins a frame."""
        self.rows, self.changed, self.touched = [], {}, set()
        self.depth = 0
        # Tuples and the like that are not complete.
        self.open = set()

    # Writing.

    def item(self, value):
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if (kind is int and -SHORT < value < SHORT) or (kind is float and math.isfinite(value)):
            return value
        index = self.indices.get(id(value))
        if index is None:
            return [self.add(value)]
        if index in self.open:
            raise Uncrossable("cyclic " + kind.__name__)
        self.touch(index)
        return [index]

    def items(self, values):
        # Makes long lists of ints quick.
        return [
            value if type(value) is int and -SHORT < value < SHORT else self.item(value)
            for value in list(values)
        ]

    def add(self, value):
        index, place = len(self.objects), len(self.rows)
        self.objects.append(value)
        self.names.append(None)
        self.indices[id(value)] = index
        self.rows.append(None)
        self.touched.add(index)
        if type(value) not in FILL:
            self.open.add(index)
        row = self.deeper(value)
        self.open.discard(index)
        self.rows[place], self.names[index] = row, row[0]
        if row[0] in CHANGEABLE:
            self.seen[index] = marshal.dumps(row, 2)
        return index

    def touch(self, index):
        """Writes an object that crossed before, if it has changed, and those in it."""
        if index not in self.touched and self.names[index] in CONTAINERS:
            self.touched.add(index)
            row = self.deeper(self.objects[index])
            if row[0] in CHANGEABLE:
                before, now = self.seen.pop(index, None), marshal.dumps(row, 2)
                self.seen[index] = now
                if now != before:
                    self.changed[index] = row, before

    def deeper(self, value):
        expect(self.depth < DEEPEST, "at most %d objects inside each other" % DEEPEST)
        self.depth += 1
        row = self.row(value)
        self.depth -= 1
        return row

    def written(self):
        """The frame's rows. Some of what crossed earlier is looked at again: a side may have kept it, and changed it."""
        rest = MOST_SEEN
        for index in list(itertools.islice(reversed(self.seen), MOST_SEEN >> 3)):
            if index not in self.touched:
                rest -= len(self.seen[index] or b"")
                if rest < 0:
                    break
                self.touch(index)
        frame = {"heap": self.rows, "changed": [[index, row] for index, (row, _) in self.changed.items()]}
        self.clear()
        return frame

    def undo(self, count):
        """Forgets a frame that was not sent; there were `count` objects before it."""
        for value in self.objects[count:]:
            self.indices.pop(id(value), None)
        del self.objects[count:], self.names[count:]
        for index in [index for index in self.seen if index >= count]:
            del self.seen[index]
        for index, (_, before) in self.changed.items():
            self.seen[index] = before
        self.clear()

    def look(self, items):
        """Takes objects that have just been read for what the other side knows; all that are in them."""
        for item in items:
            if type(item) is list:
                self.touch(item[0])
        for index, (_, before) in self.changed.items():
            if before is not None:
                self.seen[index] = before
        touched = self.touched
        self.clear()
        return touched

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
            end = self.raised(error)
        return [end] + self.items(items)

    def raised(self, error):
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
        except Exception:
            arguments = None
        return {"class": kind.__name__, "text": text, "arguments": arguments}

    # Reading.

    def read(self, frame):
        """Takes in the rows of a frame, before its items are read."""
        rows, changed = frame.get("heap"), frame.get("changed")
        expect(type(rows) is list and type(changed) is list, "rows")
        self.received, self.known = rows, len(self.objects)
        self.objects += [MISSING] * len(rows)
        self.names += [None] * len(rows)
        for index in range(self.known, len(self.objects)):
            if self.objects[index] is MISSING:
                self.build(index)
        for change in changed:
            expect(type(change) is list and len(change) == 2 and type(change[0]) is int, "a change")
            index, row = change
            expect(0 <= index < self.known, "the index of an object")
            expect(type(row) is list and row and row[0] == self.names[index], "the type that an object has")
            self.fill(self.objects[index], *row)
        for index, row in changed + list(enumerate(rows, self.known)):
            if row[0] in CHANGEABLE:
                # A set may have a different order here.
                self.seen[index] = None if row[0] == "set" else marshal.dumps(row, 2)
        self.look([[index] for index, row in changed + list(enumerate(rows, self.known)) if row[0] == "set"])

    def value(self, item):
        if item is None or type(item) in (bool, int, float):
            return item
        if type(item) is str:
            # Like the constants of a program.
            return sys.intern(item)
        expect(type(item) is list and len(item) == 1 and type(item[0]) is int, "an item")
        index = item[0]
        expect(0 <= index < len(self.objects), "the index of an object")
        if self.objects[index] is MISSING:
            self.build(index)
        expect(self.objects[index] is not OPEN, "a tuple that does not hold itself")
        return self.objects[index]

    def values(self, items):
        return [item if type(item) is int else self.value(item) for item in items]

    def pairs(self, items):
        values = self.values(items)
        expect(len(values) % 2 == 0, "pairs")
        return list(zip(values[::2], values[1::2]))

    def build(self, index):
        row = self.received[index - self.known]
        expect(type(row) is list and row and type(row[0]) is str, "a row")
        name, items = row[0], row[1:]
        expect(self.depth < DEEPEST, "at most %d objects inside each other" % DEEPEST)
        self.depth += 1
        if name in MUTABLE:
            self.objects[index] = MUTABLE[name]()
            self.fill(self.objects[index], name, *items)
        else:
            self.objects[index] = OPEN
            expect(name in READ, "a type that can cross")
            self.objects[index] = READ[name](self, *items)
        self.names[index] = name
        self.indices[id(self.objects[index])] = index
        self.depth -= 1

    def fill(self, target, name, *items):
        """Gives an object that can be changed that content."""
        if name == "opaque":
            vars(target).update(vars(self.opaque(*items)))
        else:
            FILL[MUTABLE.get(name)](self, target, items)

    def series(self, end, *items):
        """What there is to go through, the exception at its end, and whether it goes on."""
        values = self.values(items)
        error = self.exception(end) if type(end) is dict else None
        expect(end is None or error or end == "longer", "the end of an iterator")
        return values, error, end == "longer"

    def exception(self, raised):
        name, text = raised.get("class"), raised.get("text")
        expect(type(name) is str and type(text) is str, "an exception")
        kind = getattr(builtins, name, None)
        expect(isinstance(kind, type) and issubclass(kind, BaseException), "a builtin exception")
        arguments = self.value(raised.get("arguments"))
        expect(arguments is None or type(arguments) is tuple, "the arguments of an exception")
        # Some classes require arguments of a certain kind.
        for base in kind.__mro__[:-1]:
            for given in (arguments, (text,)):
                try:
                    error = base(*given)
                except Exception:
                    continue
                if given != arguments or str(error) == text:
                    return error
        return Exception(text)


# The types of a dict's views of its keys, values and items.
VIEWS = KEYS, VALUES, ITEMS = type({}.keys()), type({}.values()), type({}.items())
# Uses the methods of the builtin type, whatever a subclass makes of them.
WRITE = {
    int: lambda heap, value: [format(int.__index__(value), "x")],
    float: lambda heap, value: ["math.nan" if value is math.nan else float.hex(value)],
    complex: lambda heap, value: [heap.item(value.real), heap.item(value.imag)],
    str: lambda heap, value: [str.__str__(value)],
    bytes: lambda heap, value: [bytes.hex(value)],
    bytearray: lambda heap, value: [bytearray.hex(value)],
    list: lambda heap, value: heap.items(list.__iter__(value)),
    tuple: lambda heap, value: heap.items(tuple.__iter__(value)),
    set: lambda heap, value: heap.items(set.__iter__(value)),
    frozenset: lambda heap, value: heap.items(frozenset.__iter__(value)),
    dict: lambda heap, value: heap.items(part for pair in list(dict.items(value)) for part in pair),
    collections.deque: lambda heap, value: heap.items(collections.deque.__iter__(value)),
    range: lambda heap, value: heap.items((value.start, value.stop, value.step)),
    KEYS: lambda heap, value: heap.items(value),
    VALUES: lambda heap, value: heap.items(value),
    ITEMS: lambda heap, value: heap.items(part for pair in list(value) for part in pair),
}

# Types that a program has only if it imported them.
IMPORTED = {
    ("decimal", "Decimal"): lambda heap, value: [str(value)],
    ("fractions", "Fraction"): lambda heap, value: heap.items((value.numerator, value.denominator)),
}


def replay(values, error, is_longer):
    yield from values
    expect(not is_longer, "an iterator of at most %d items" % MOST_ITEMS)
    if error is not None:
        raise error


def imported(module, name, *arguments):
    return getattr(importlib.import_module(module), name)(*arguments)


def fill_list(heap, target, items):
    list.__setitem__(target, slice(None), heap.values(items))


def fill_dict(heap, target, items):
    pairs = heap.pairs(items)
    dict.clear(target)
    dict.update(target, pairs)


def fill_deque(heap, target, items):
    values = heap.values(items)
    collections.deque.clear(target)
    collections.deque.extend(target, values)


def fill_set(heap, target, items):
    values = heap.values(items)
    set.clear(target)
    set.update(target, values)


def fill_bytearray(heap, target, items):
    bytearray.__setitem__(target, slice(None), bytes.fromhex(*items))


MISSING, OPEN = object(), object()
FILL = {list: fill_list, dict: fill_dict, set: fill_set, bytearray: fill_bytearray, collections.deque: fill_deque}
MUTABLE = {kind.__name__: kind for kind in FILL}
READ = {
    "int": lambda heap, digits: int(digits, 16),
    "float": lambda heap, text: math.nan if text == "math.nan" else float.fromhex(text),
    "complex": lambda heap, real, imaginary: complex(float(heap.value(real)), float(heap.value(imaginary))),
    "str": lambda heap, text: str.__str__(text),
    "bytes": lambda heap, text: bytes.fromhex(text),
    "tuple": lambda heap, *items: tuple(heap.values(items)),
    "frozenset": lambda heap, *items: frozenset(heap.values(items)),
    "range": lambda heap, *items: range(*heap.values(items)),
    "dict_keys": lambda heap, *items: dict.fromkeys(heap.values(items)).keys(),
    "dict_values": lambda heap, *items: dict(enumerate(heap.values(items))).values(),
    "dict_items": lambda heap, *items: dict(heap.pairs(items)).items(),
    "Decimal": lambda heap, text: imported("decimal", "Decimal", text),
    "Fraction": lambda heap, *items: imported("fractions", "Fraction", *heap.values(items)),
    "iterator": lambda heap, *items: replay(*heap.series(*items)),
    "opaque": lambda heap, *items: heap.opaque(*items),
}
CHANGEABLE = set(MUTABLE) | {"opaque"}
CONTAINERS = CHANGEABLE | {"tuple", "frozenset"} | {kind.__name__ for kind in VIEWS}
