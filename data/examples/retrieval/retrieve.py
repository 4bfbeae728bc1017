"""Finds the texts of a folder that share most rare words with the question.

Reads {"question": "..", "solutions": [..], "context": [..]} and writes {"context": ".."}, both as JSON.
"""

import json
import math
import os
import re
import sys

MOST = 2  # texts


def words(text):
    return set(re.findall(r"[a-z0-9]+", text.lower()))


folder = sys.argv[1]
texts = {}
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        texts[name] = file.read().strip()
known = {name: words(text) for name, text in texts.items()}
question = words(json.load(sys.stdin)["question"])


def fit(name):
    holders = {word: sum(word in other for other in known.values()) for word in question & known[name]}
    return sum(math.log(1 + len(texts) / count) for count in holders.values())


best = sorted(texts, key=fit, reverse=True)[:MOST]
found = [texts[name] for name in best if fit(name) > 0]
json.dump({"context": "\n\n".join(found)} if found else {}, sys.stdout)
