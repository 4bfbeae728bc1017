"""Writes beside each chat template of a folder what transformers makes of a few conversations.

    pip install transformers jinja2
    python scripts/chat_prompts.py FOLDER          # NAME.jinja to NAME.json
    LAMAS_TEMPLATES=FOLDER cargo test --lib real_templates
"""

import datetime
import json
import pathlib
import sys

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template

SYSTEM = {"role": "system", "content": " Be brief. "}
USER = {"role": "user", "content": "2 + 2 <= 5?\nYes"}
ASSISTANT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nb"}
CONVERSATIONS = [[USER], [SYSTEM, USER], [USER, ASSISTANT, USER], [SYSTEM, USER, ASSISTANT, USER]]


def fixed_day(pattern):
    return datetime.datetime(2024, 7, 26).strftime(pattern)


def cases(template):
    for messages in CONVERSATIONS:
        try:
            expected = template.render(messages=messages, tools=None, documents=None, add_generation_prompt=True,
                                       bos_token="<s>", eos_token="</s>", enable_thinking=False, strftime_now=fixed_day)
        except jinja2.TemplateError:
            expected = None
        except TypeError:  # a template for tools alone: nothing is said of what it makes without any
            continue
        yield {"messages": messages, "expected": expected}


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja")):
    path.with_suffix(".json").write_text(json.dumps(list(cases(_compile_jinja_template(path.read_text())))))
