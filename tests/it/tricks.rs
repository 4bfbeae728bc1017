//! Wrong solutions that try to be graded right, and right solutions that look odd, each with its task.

/// A task in the fields of HumanEval: prompt, function, tests, and a right solution.
pub struct Task {
    pub prompt: &'static str,
    pub entry_point: &'static str,
    pub test: &'static str,
    pub canonical: &'static str,
}

/// The integer part of a square root.
pub const ROOT: Task = Task {
    prompt: "from math import isqrt\n\n\ndef root(n):\n    \"\"\"The whole part of the root.\n    \"\"\"\n",
    entry_point: "root",
    test: "def check(candidate):\n    assert candidate(9) == 3\n    assert candidate(16) == 4\n    assert candidate(10 ** 40 - 1) == 10 ** 20 - 1\n",
    canonical: "    return isqrt(n)\n",
};

/// Every kind of check that tests make on plain values, and expected exceptions.
pub const MANY: Task = Task {
    prompt: "def f(x):\n    \"\"\"The same again; an error for None.\n    \"\"\"\n",
    entry_point: "f",
    test: "import math\n\ndef check(candidate):\n    assert candidate(True) is True\n    assert not candidate(0)\n    assert math.isclose(candidate(0.5), 0.5)\n    assert sorted(candidate([2, 1])) == [1, 2]\n    assert candidate('a') + 'b' == 'ab'\n    assert len(candidate({1: 2})) == 1\n    try:\n        candidate(None)\n    except ValueError:\n        pass\n    else:\n        assert False\n",
    canonical: "    if x is None:\n        raise ValueError('none')\n    return x\n",
};

/// None of these may pass for [`ROOT`]. `WRONG` stands for a wrong function.
#[rustfmt::skip]
pub const WRONG: &[(&str, &str)] = &[
    // Equal to everything.
    ("object equal to all", "class E:\n  __eq__ = lambda s, o: True\n  __hash__ = object.__hash__\ndef root(n): return E()"),
    ("int equal to all", "class E(int):\n  __eq__ = lambda s, o: True\n  __ne__ = lambda s, o: False\n  __hash__ = int.__hash__\ndef root(n): return E(1)"),
    ("float equal to all", "class E(float):\n  __eq__ = lambda s, o: True\ndef root(n): return E(1)"),
    ("str equal to all", "class E(str):\n  __eq__ = lambda s, o: True\ndef root(n): return E('')"),
    ("list equal to all", "class E(list):\n  __eq__ = lambda s, o: True\ndef root(n): return E([1])"),
    ("complex equal to all", "class E(complex):\n  __eq__ = lambda s, o: True\ndef root(n): return E()"),
    ("Decimal equal to all", "from decimal import Decimal\nclass E(Decimal):\n  __eq__ = lambda s, o: True\ndef root(n): return E('NaN')"),
    ("Fraction with odd parts", "from fractions import Fraction\nclass E(Fraction):\n  numerator = property(lambda s: E(1))\n  __eq__ = lambda s, o: True\ndef root(n): return E(1)"),
    ("class that says it is int", "class E:\n  __class__ = property(lambda s: int)\n  __index__ = lambda s: 3\n  __eq__ = lambda s, o: True\ndef root(n): return E()"),
    ("metaclass with an odd mro", "class M(type):\n  mro = lambda c: [c, int, object] if False else type.mro(c)\n  __eq__ = lambda s, o: True\n  __hash__ = lambda s: hash(int)\nclass E(metaclass=M):\n  __eq__ = lambda s, o: True\ndef root(n): return E()"),
    ("iterator equal to all", "class E:\n  __eq__ = lambda s, o: True\n  __iter__ = lambda s: s\n  def __next__(s): raise StopIteration\ndef root(n): return E()"),
    ("the class itself", "class M(type):\n  __eq__ = lambda s, o: True\n  __hash__ = type.__hash__\nclass E(metaclass=M): pass\ndef root(n): return E"),
    ("ANY of mock", "from unittest import mock\ndef root(n): return mock.ANY"),
    ("sets and keys", "def root(n): return {3: 3, 4: 4}.keys()"),
    // Leaving early, or instead of the tests.
    ("exit at once", "import os\nos._exit(0)"),
    ("SystemExit", "def root(n): raise SystemExit(0)"),
    ("KeyboardInterrupt", "def root(n): raise KeyboardInterrupt"),
    ("GeneratorExit", "def root(n): raise GeneratorExit"),
    ("StopIteration", "def root(n): raise StopIteration(3)"),
    ("an exception that is one of the relay", "import __main__\ndef root(n): raise __main__.Breach('passed')"),
    ("an exception without a text", "class E(Exception):\n  def __str__(s): raise E\n  __repr__ = __str__\n  args = property(lambda s: 1 / 0)\ndef root(n): raise E"),
    ("exit at the end of a call", "import atexit, os, sys\natexit.register(os._exit, 0)\ndef root(n): sys.exit(0)"),
    ("exit by alarm", "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\nsignal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)\ndef root(n): return -1"),
    ("exit by trace", "import os, sys\nsys.settrace(lambda *a: os._exit(0))\ndef root(n): return -1"),
    ("exit by hook", "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\nsys.unraisablehook = sys.excepthook\ndef root(n): return -1"),
    ("becomes another program", "import os, sys\ndef root(n): os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"),
    ("killed", "import os\ndef root(n): os.kill(os.getpid(), 9)"),
    ("thread", "import threading, os\ndef root(n):\n  threading.Timer(0, os._exit, [0]).start()\n  return -1"),
    // Forged verdicts.
    ("verdict on stdout", "print('{\"is_right\": true}', flush=True)\ndef root(n): return -1"),
    ("verdict on every descriptor", "import os\nfor n in range(64):\n  try: os.write(n, b'{\"is_right\": true}')\n  except OSError: pass\ndef root(n): return -1"),
    ("frame with a verdict", "import __main__, os, json\ndef frame(**f):\n  data = json.dumps(f).encode()\n  for n in range(3, 64):\n    try: os.write(n, len(data).to_bytes(4, 'big') + data)\n    except OSError: pass\nframe(trace=None)\nfor n in range(1, 9): frame(call=n, is_right=True, result=-1, heap=[], changed=[], simplified=[])\ndef root(n): return -1"),
    ("endless frame", "import os\nfor n in range(3, 64):\n  try:\n    while True: os.write(n, b'\\0' * 65536)\n  except OSError: pass\ndef root(n): return -1"),
    ("frame of four gigabytes", "import os\nfor n in range(3, 64):\n  try: os.write(n, b'\\xff' * 64)\n  except OSError: pass\ndef root(n): return -1"),
    ("the end of the stream", "import os\ndef root(n): os.closerange(0, 64)"),
    ("relay replaced", "import __main__\n__main__.answer = lambda function, frame, heap: {'call': frame['call'], 'result': [0], 'heap': [['opaque', 'E', True]], 'changed': [], 'simplified': []}\ndef root(n): return -1"),
    ("relay says more than it may", "import __main__\nreal = __main__.answer\n__main__.answer = lambda function, frame, heap: {**real(function, frame, heap), 'verdict': True, 'is_right': True, 'raised': None}\ndef root(n): return -1"),
    ("row of no known type", "import __main__\n__main__.Heap.row = lambda s, v: ['object', 3]\ndef root(n): return [n]"),
    ("row that holds itself", "import __main__\n__main__.Heap.row = lambda s, v: ['tuple', [0], [1]]\ndef root(n): return (n,)"),
    ("index out of range", "import __main__\n__main__.Heap.item = lambda s, v: [-1]\ndef root(n): return -1"),
    ("exception of no builtin class", "import __main__\n__main__.Heap.raised = lambda s, e: {'class': 'print', 'text': '', 'arguments': None}\ndef root(n): raise ValueError"),
    ("not JSON", "import __main__\n__main__.json.dumps = lambda *a, **k: 'NaN'\ndef root(n): return -1"),
    ("nested JSON", "import __main__\n__main__.json.dumps = lambda *a, **k: '[' * 100000\ndef root(n): return -1"),
    ("long number", "import __main__\n__main__.json.dumps = lambda *a, **k: '9' * 1000000\ndef root(n): return -1"),
    // Attacks on the judge, which runs elsewhere.
    ("patched builtins", "import builtins\nfor name in ('exec', 'compile', 'getattr', 'isinstance', 'type', 'len', 'list', 'id', 'AssertionError', 'BaseException'):\n  setattr(builtins, name, print)\ndef root(n): return -1"),
    ("patched modules", "import sys\nfor name in list(sys.modules):\n  if name not in ('builtins', 'solution', '__main__'): sys.modules[name] = None\ndef root(n): return -1"),
    ("json without checks", "import json, os, struct\njson.loads = lambda *a, **k: {}\njson.dumps = lambda *a, **k: '{}'\nos.read = lambda *a: b''\ndef root(n): return -1"),
    ("asserts that cannot fail", "import builtins, ctypes\nbuiltins.AssertionError = builtins.__debug__ and SystemExit\nctypes.c_int.from_address(id(9) + 24).value = 3\ndef root(n): return n"),
    ("objects of the collector", "import gc\nfor o in gc.get_objects():\n  if type(o) is dict:\n    for name in ('tests', 'test', 'check', 'is_right', 'verdict'):\n      if name in o: o[name] = True\ndef root(n): return -1"),
    ("frames above", "import sys\ndef root(n):\n  f = sys._getframe()\n  while f:\n    for name, value in list(f.f_locals.items()):\n      if type(value) is dict: value.update(is_right=True, result=True)\n    f = f.f_back\n  return -1"),
    ("tests in files", "import glob, json\ndef root(n):\n  for name in glob.glob('*') + glob.glob('../*/*'):\n    text = open(name).read()\n    if 'candidate(9) ==' in text: return isqrt(n)\n  return -1"),
    ("files replaced", "for name in ('program.py', 'job.json', 'json.py', 'traceback.py'):\n  open(name, 'w').write('import os; os._exit(0)')\ndef root(n): return -1"),
    // Endless programs.
    ("endless generator", "def root(n):\n  while True: yield n"),
    ("generator of its own", "def root(n):\n  def nest():\n    while True: yield nest()\n  return nest()"),
    ("deep result", "def root(n):\n  r = []\n  for _ in range(100000): r = [r]\n  return r"),
    ("deep recursion", "import sys\nsys.setrecursionlimit(1 << 30)\ndef root(n): return root(n)"),
    ("recursion", "def root(n): return root(n)"),
    ("result that holds itself", "def root(n):\n  r = []\n  r.append((r,))\n  return r[0]"),
    ("huge result", "def root(n): return 'x' * (1 << 25)"),
    ("huge int", "def root(n): return 1 << (1 << 28)"),
    ("huge output", "def root(n):\n  while True: print('x' * 100000)"),
    ("doubling", "def root(n):\n  r = []\n  for _ in range(60): r = [r, r]\n  return r"),
    ("unhashable key", "class K(list):\n  __hash__ = lambda s: 1\ndef root(n): return {K(): 1}"),
    ("truth that fails", "class E:\n  def __bool__(s): raise SystemExit(0)\ndef root(n): return E()"),
    // Plainly wrong.
    ("an async function", "async def root(n): return isqrt(n)"),
    ("another function", "def square(n): return n * n"),
    ("no function", "root = 3"),
    ("no Python", "The root is 3."),
    ("text for a number", "def root(n): return str(isqrt(n))"),
    ("a list for a number", "def root(n): return [isqrt(n)]"),
    ("a float for a long int", "def root(n): return n ** 0.5"),
];

/// None of these may pass for [`MANY`].
pub const WRONG_OF_MANY: &[(&str, &str)] = &[
    (
        "false in the place of nothing",
        "class E:\n  __bool__ = lambda s: False\n  __eq__ = lambda s, o: True\ndef f(x): return E()",
    ),
    ("truth of another kind", "def f(x):\n  if x is None: raise ValueError\n  return 1 if x is True else x"),
    ("no exception", "def f(x): return x"),
    ("another exception", "def f(x):\n  if x is None: raise TypeError\n  return x"),
    (
        "an exception called ValueError",
        "class ValueError(Exception): pass\ndef f(x):\n  if x is None: raise ValueError\n  return x",
    ),
    ("breach where an exception is expected", "import os\ndef f(x):\n  if x is None: os.closerange(0, 64)\n  return x"),
    ("exit where an exception is expected", "import os\ndef f(x):\n  if x is None: os._exit(0)\n  return x"),
    (
        "arguments turned",
        "import __main__\nreal = __main__.answer\n__main__.answer = lambda function, frame, heap: {**real(function, frame, heap), 'changed': [[0, ['dict', 1, 2]]]}\ndef f(x): return x",
    ),
];

/// Right solutions of a function `f`: what is odd about it, the tests of `candidate`, the code.
#[rustfmt::skip]
pub const RIGHT: &[(&str, &str, &str)] = &[
    // Values that are equal to others.
    ("int for float", "assert candidate(4) == 2.0", "def f(x): return x // 2"),
    ("float for int", "assert candidate(4) == 2", "def f(x): return x / 2"),
    ("bool for 0 and 1", "assert candidate(4) == 1\nassert candidate(5) == 0", "def f(x): return x % 2 == 0"),
    ("0 and 1 for bool", "assert candidate(4) == True\nassert not candidate(5)", "def f(x): return 1 - x % 2"),
    ("Counter for dict", "assert candidate('aab') == {'a': 2, 'b': 1}", "from collections import Counter as f"),
    ("defaultdict for dict", "assert candidate('ab') == {'a': 1, 'b': 1}", "from collections import defaultdict\ndef f(x):\n  d = defaultdict(int)\n  for c in x: d[c] += 1\n  return d"),
    ("OrderedDict for dict", "assert candidate(1) == {1: 2}", "from collections import OrderedDict\ndef f(x): return OrderedDict([(x, 2)])"),
    ("namedtuple for tuple", "assert candidate(1) == (1, 2)", "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(x): return P(x, 2)"),
    ("IntEnum for int", "assert candidate(1) == 1", "from enum import IntEnum\nclass E(IntEnum):\n  A = 1\nf = E"),
    ("str enum for str", "assert candidate('a') == 'a'", "from enum import Enum\nclass E(str, Enum):\n  A = 'a'\nf = E"),
    ("subclass of str, of float, of list", "assert candidate('a') == ['a', 1.5]", "class S(str): pass\nclass F(float): pass\nclass L(list): pass\ndef f(x): return L([S(x), F(1.5)])"),
    ("complex for real", "assert candidate(3) == 3 and candidate(3).imag == 0", "def f(x): return complex(x)"),
    ("Fraction and Decimal", "assert candidate(3) == (1.5, 3)", "from fractions import Fraction\nfrom decimal import Decimal\ndef f(x): return Fraction(x, 2), Decimal(x)"),
    ("frozenset for set", "assert candidate([1, 2]) == {1, 2}", "f = frozenset"),
    ("keys for set", "assert candidate({1: 2}) == {1}\nassert list(candidate({1: 2, 3: 4})) == [1, 3]", "def f(x): return x.keys()"),
    ("values and items", "a, b = candidate({1: [2]})\nassert list(a) == [[2]] and list(b) == [(1, [2])]", "def f(x): return x.values(), x.items()"),
    ("range", "assert candidate(3) == range(3) and list(candidate(2)) == [0, 1]", "f = range"),
    ("bytes", "assert candidate(b'\\0\\xff') == b'\\xff\\0' == candidate(bytearray(b'\\0\\xff'))", "def f(x): return x[::-1]"),
    ("NaN", "x = candidate(1)\nassert x != x and x is not None", "def f(x): return float('nan')"),
    ("the NaN of math", "import math\nassert candidate(1) == [math.nan]", "import math\ndef f(x): return [math.nan]"),
    ("NaN that was given", "x = float('nan')\nassert candidate([x, x]) == [x, x]", "def f(x): return list(x)"),
    ("infinite and signed", "import math\nassert candidate(1) == (math.inf, -math.inf) and math.copysign(1, candidate(0)) == -1", "def f(x): return (float('inf'), -float('inf')) if x else -0.0"),
    ("an int of 5,000 digits", "assert candidate(5000) == 10 ** 4999 and candidate(-3) == -(1 << 64)", "def f(x): return 10 ** (x - 1) if x > 0 else -(1 << 64)"),
    ("surrogates and zeros", "assert candidate('\\ud800\\0é') == 'é\\0\\ud800'", "def f(x): return x[::-1]"),
    ("None", "assert candidate(1) is None", "def f(x): pass"),
    ("user types", "assert candidate([1]) == [1] and candidate({1: 2}) == {1: 2} and candidate('a') == 'a'", "import collections as c\ndef f(x): return {list: c.UserList, dict: c.UserDict, str: c.UserString}[type(x)](x)"),
    ("mappings and proxies", "assert candidate({1: 2}) == [{1: 2}, {1: 2}]", "import collections, types\ndef f(x): return [types.MappingProxyType(x), collections.ChainMap({}, x)]"),
    ("a deque", "x = candidate([1, 2])\nassert list(x) == [1, 2] and x[0] == 1 and x != [1, 2]", "from collections import deque as f"),
    ("what can be gone through", "assert tuple(candidate([1, 2])) == (1, 2) and sorted(candidate([2, 1])) == [1, 2] and candidate([1]) != [1]", "from array import array\ndef f(x): return array('i', x)"),
    ("a constant", "assert candidate(1) is 'Yes'", "def f(x): return 'Yes' if x else 'No'"),
    ("a match for true", "assert candidate('ab')\nassert not candidate('b')", "import re\ndef f(x): return re.match('a', x)"),
    ("a deep list", "assert str(candidate(50)) == '[' * 51 + ']' * 51", "def f(x): return [f(x - 1)] if x else []"),
    ("a long list", "assert sum(candidate(100000)) == 4999950000", "def f(x): return [*range(x)]"),
    // Iterators.
    ("a generator", "assert list(candidate(3)) == [0, 1, 2]\nassert next(candidate(2)) == 0", "def f(x): yield from range(x)"),
    ("an endless generator", "from itertools import islice\nassert list(islice(candidate(3), 3)) == [3, 3, 3]", "def f(x):\n  while True: yield x"),
    ("a generator that fails", "g = candidate(0)\nassert next(g) == 1\ntry: next(g)\nexcept ZeroDivisionError: pass\nelse: assert False", "def f(x):\n  yield 1\n  yield 1 / x"),
    ("map, zip and the rest", "assert [list(x) for x in candidate([1, 2])] == [[2, 3], [(1, 1), (2, 2)], [2, 1], [(0, 1), (1, 2)]]", "def f(x): return [map(lambda y: y + 1, x), zip(x, x), reversed(x), enumerate(x)]"),
    ("an iterator as argument", "assert candidate(iter([1, 2])) == 3", "f = sum"),
    // Arguments.
    ("arguments changed", "x = [3, 1]\nassert candidate(x) is None and x == [1, 3]", "def f(x): x.sort()"),
    ("arguments changed inside", "x = {'a': [1]}, {2}, bytearray(b'x')\ncandidate(x)\nassert x == ({'a': [1, 2]}, set(), b'xy')", "def f(x): x[0]['a'].append(2); x[1].clear(); x[2].extend(b'y')"),
    ("the argument itself", "x = [1]\nassert candidate(x) is x and x == [1, 1]", "def f(x):\n  x += x\n  return x"),
    ("one list twice", "x = [[]] * 2\ncandidate(x)\nassert x == [[1], [1]] and x[0] is x[1]", "def f(x): x[0].append(1)"),
    ("a cycle", "x = [1]\nx.append(x)\nassert candidate(x) == 1 and x[1] is x", "def f(x): return x[1][1][0]"),
    ("names and defaults", "assert candidate(1) == 3 and candidate(y=1, x=5) == 6 and candidate(*[1], **{'y': 1}) == 2", "def f(x, y=2): return x + y"),
    ("arguments that are gone through", "d = {1: 2, 3: 4}\nassert [candidate(d, k) for k in d] == [2, 4]", "def f(d, k): return d[k]"),
    ("equal but not the same", "x = [True]\ncandidate(x)\nassert x[0] is not True", "def f(x): x[0] = 1"),
    ("what crossed before", "a = candidate(0)\nassert candidate(a) == 'again'", "class C: pass\nc = C()\ndef f(x): return 'again' if x is c else c"),
    // Several calls in a row.
    ("the same list again", "a = candidate(1)\nassert candidate(2) is a and a == [1, 2]", "kept = []\ndef f(x):\n  kept.append(x)\n  return kept"),
    ("an argument that is kept", "x = [1]\ncandidate(x)\nx.append(2)\nassert candidate([]) == [1, 2]", "kept = []\ndef f(x):\n  kept.append(x)\n  return kept[0]"),
    ("an argument that is changed later", "x = [[1]]\ncandidate(x)\ncandidate([])\nassert x == [[1, 9]]", "kept = []\ndef f(x):\n  kept.append(x)\n  if not x: kept[0][0].append(9)"),
    ("an argument of long ago", "x = [0] * 3000\ncandidate(x)\nfor i in range(300): candidate([i])\ny = candidate(x)\nassert y is x and x[0] == 300", "kept = []\ndef f(x):\n  if not kept: kept.append(x)\n  elif x is not kept[0]: kept[0][0] += 1\n  return x if x is kept[0] else None"),
    ("a list that was taken out", "i = [1]\ncandidate([i])\nassert i == [1, 2]", "def f(x): x.pop().append(2)"),
    ("a result that is given back", "a = candidate(0)\na['k'] = [1]\nassert candidate(a) is a and a == {'k': [1, 2]}", "def f(x):\n  if x: x['k'].append(2)\n  return x or {}"),
    ("an exception after a change", "x = [1]\ntry: candidate(x)\nexcept ValueError: pass\nassert x == [1, 2]", "def f(x):\n  x.append(2)\n  raise ValueError"),
    ("an iterator that fails inside a result", "x = [1]\ntry: candidate(x)\nexcept KeyboardInterrupt: assert x == [1, 2]\nelse: assert False", "def f(x):\n  def g():\n    x.append(2)\n    raise KeyboardInterrupt\n    yield\n  return [[3], g()]"),
    ("many calls", "for i in range(2000): assert candidate([i]) == [i, i]", "def f(x): return x + x"),
    ("much data", "x = list(range(50000))\nfor i in range(32):\n  x[0] = i\n  assert candidate(x) == x[::-1]", "def f(x): return x[::-1]"),
    // Exceptions.
    ("an exception with its text", "try: candidate({})\nexcept KeyError as e: assert str(e) == \"'k'\" and e.args == ('k',)\nelse: assert False", "def f(x): return x['k']"),
    ("an exception of its own class", "try: candidate(1)\nexcept ValueError as e: assert str(e) == 'too 1'\nelse: assert False", "class Own(ValueError):\n  def __str__(s): return 'too %d' % s.args[0]\ndef f(x): raise Own(x)"),
    ("an exception of many arguments", "try: candidate(b'\\xff')\nexcept UnicodeDecodeError as e: assert e.start == 0\nelse: assert False", "def f(x): return x.decode()"),
    ("exit", "try: candidate(3)\nexcept SystemExit as e: assert e.code == 3\nelse: assert False", "import sys\nf = sys.exit"),
    ("too deep", "try: candidate(3)\nexcept RecursionError: pass\nelse: assert False", "def f(x): return f(x)"),
    // The program around the function.
    ("prints at exit", "assert candidate(1) == 1", "import atexit\natexit.register(print, 'bye', flush=True)\ndef f(x): return x"),
    ("prints without an end of line", "assert candidate(1) == 1", "def f(x):\n  print('{\"is_right\": false}', end='', flush=True)\n  return x"),
    ("a replaced stdout", "assert candidate(1) == 1", "import io, sys\nsys.stdout = sys.stderr = io.StringIO()\ndef f(x): return x"),
    ("closed streams", "assert candidate(1) == 1", "import sys\nsys.stdin.close()\nsys.stdout.close()\ndef f(x): return x"),
    ("U+FEFF first", "assert candidate(1) == 1", "\u{feff}def f(x): return x"),
    ("input that is empty", "assert candidate(1) == 'end'", "def f(x):\n  try: return input()\n  except EOFError: return 'end'"),
    ("builtins under other names", "assert candidate([1, 2]) == 2", "len_, len = len, None\nimport builtins\nprint = json = list = None\ndef f(x): return len_(x)"),
    ("a class with a call", "assert candidate(1) == 1 and candidate(1) == 2", "class C:\n  n = 0\n  def __call__(s, x):\n    s.n += x\n    return s.n\nf = C()"),
    ("partial, cached", "assert candidate(1) == 3 and candidate(1) == 3", "from functools import lru_cache, partial\nf = partial(lru_cache(None)(lambda y, x: x + y), 2)"),
    ("a data class inside", "assert candidate(1) == 1", "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass C:\n  x: int\ndef f(x): return C(x).x"),
    ("an event loop inside", "assert candidate(1) == 1", "import asyncio\nasync def g(x): return x\ndef f(x): return asyncio.run(g(x))"),
    ("called by its name", "assert f(1) == 1", "def f(x): return x"),
    ("main program", "assert candidate(1) == 1", "def f(x): return x\nif __name__ == '__main__':\n  f(int(input()))"),
];

/// Wrong solutions that share what they should not: what is odd, the tests, the code.
#[rustfmt::skip]
pub const SHARING: &[(&str, &str, &str)] = &[
    ("one list for all", "a, b = candidate(1), candidate(2)\nassert a == [1] and b == [2]", "kept = []\ndef f(x):\n  kept[:] = [x]\n  return kept"),
    ("a list that is kept", "a = candidate(1)\na.append(5)\nassert candidate(1) == [1]", "from functools import lru_cache\n@lru_cache(None)\ndef f(x): return [x]"),
    ("a default that is kept", "assert candidate(1) == [1] and candidate(2) == [2]", "def f(x, r=[]):\n  r.append(x)\n  return r"),
    ("an argument that is kept", "x = [1]\ncandidate(x)\ncandidate([2])\nassert x == [1]", "kept = []\ndef f(x):\n  kept.append(x)\n  kept[0][0] = 2"),
    ("the argument for a copy", "x = [[1]]\ny = candidate(x)\ny[0].append(2)\nassert x == [[1]]", "def f(x): return list(x)"),
];

/// Tasks whose tests need something that cannot cross: what it is, the tests, a right solution.
#[rustfmt::skip]
pub const UNSUPPORTED: &[(&str, &str, &str)] = &[
    ("argument of type `function`", "assert candidate(lambda x: x + 1) == 2", "def f(x): return x(1)"),
    ("argument of type `C`", "class C:\n  x = 1\nassert candidate(C()) == 1", "def f(c): return c.x"),
    ("argument of type `defaultdict`", "from collections import defaultdict\nassert candidate(defaultdict(int)) == 0", "def f(x): return x['a']"),
    ("result of type `function`", "assert candidate(1)(2) == 3", "def f(x): return lambda y: x + y"),
    ("result of type `function`", "assert callable(candidate(1))", "def f(x): return lambda y: x + y"),
    ("result of type `C`", "assert candidate(1).x == 1", "class C:\n  def __init__(s, x): s.x = x\ndef f(x): return C(x)"),
    ("result of type `date`", "from datetime import date\nassert candidate(1) == date(2000, 1, 1)", "from datetime import date\ndef f(x): return date(2000, 1, x)"),
    ("result of type `P`", "assert candidate(1).x == 1", "from collections import namedtuple\nP = namedtuple('P', 'x')\ndef f(x): return P(x)"),
    ("`__name__` of the function", "assert candidate.__name__ == 'f'", "def f(x): return x"),
    ("`__name__` of the function", "try: candidate.__name__\nexcept: pass", "def f(x): return x"),
    ("standard stream", "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as out: candidate(1)\nassert out.getvalue() == '1\\n'", "def f(x): print(x)"),
    ("a replaced builtin", "from unittest import mock\nwith mock.patch('builtins.input', lambda: '1'): assert candidate() == '1'", "def f(): return input()"),
    ("a file of the tests", "open('a', 'w').write('1')\nassert candidate('a') == '1'", "def f(x): return open(x).read()"),
    ("the tests lack a file", "candidate('a')\nassert open('a').read() == '1'", "def f(x): open(x, 'w').write('1')"),
    ("a variable of the environment", "import os\nos.environ['A'] = '1'\nassert candidate('A') == '1'", "import os\nf = os.getenv"),
    ("the tests lack a name: name 'g' is not defined", "assert candidate(1) == g(1)", "def f(x): return x\ng = f"),
    ("before they call the solution", "from no_such_module import x\nassert candidate(1) == x", "def f(x): return x"),
];
