"""What OpenAI clients see of `lamas serve`: chat, stream, wrong key, unknown model, bad JSON, long input, leaving early;
and what an administrator sees: the page and the counters."""

import json
import sys
import urllib.error
import urllib.request

import openai

BASE, KEY, ADMIN = sys.argv[1:]
QUESTION = "a hall has 432 rows of 6 seats . how many seats are in the hall ?"
ASKED = [{"role": "user", "content": QUESTION}]


def seen(name, is_right, what):
    print(f"{'ok  ' if is_right else 'FAIL'}  {name}: {what}")
    if not is_right:
        sys.exit(f"{name}: {what}")


def refused(name, kind, ask):
    try:
        answer = ask()
    except kind as error:
        seen(name, True, f"{type(error).__name__} {getattr(error, 'status_code', '')} {getattr(error, 'code', '')}")
    else:
        seen(name, False, f"expected {kind.__name__}, found {answer}")


def of_openai():
    client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    names = [model.id for model in client.models.list()]
    seen("openai models", {"run", "run:fast", "run:best", "run:direct"} <= set(names), ", ".join(names))
    answer = client.chat.completions.create(model="run", messages=ASKED, extra_body={"lamas": {"budget": 20}})
    text = answer.choices[0].message.content
    seen("openai chat", "2592" in text, f"{text} ({answer.usage.total_tokens} tokens)")
    stream = client.chat.completions.create(
        model="run:best", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    seen("openai stream", "2592" in text and chunks[-1].usage.total_tokens > 0, f"{text} in {len(chunks)} chunks")
    chunks = client.chat.completions.create(model="run:direct", messages=ASKED, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    seen("openai stream of a plain call", bool(text), text)
    with client.chat.completions.create(model="run:best", messages=ASKED, stream=True) as stream:
        seen("openai leaves", next(iter(stream)).choices[0].delta.role == "assistant", "after the first chunk")
    answer = client.responses.create(model="run", input=QUESTION)
    seen("openai responses", "2592" in answer.output_text and answer.store is False, answer.output_text)
    events = list(client.responses.create(model="run", input=QUESTION, stream=True))
    seen("openai responses stream", "2592" in events[-1].response.output_text, f"{len(events)} events")
    said = [{"role": "system", "content": "you answer"}, *ASKED, {"role": "assistant", "content": "2592"}, *ASKED]
    answer = client.chat.completions.create(model="run", messages=said)
    seen("openai conversation", bool(answer.choices[0].message.content), answer.choices[0].message.content)
    answer = client.chat.completions.create(model="run", messages=ASKED)
    feedback = client.post("/feedback", body={"id": answer.id, "answer": "2592"}, cast_to=object)
    seen("feedback", feedback["graded"] >= 1, feedback)
    wrong = openai.OpenAI(base_url=BASE, api_key="sk-wrong-wrong", max_retries=0)
    create = client.chat.completions.create
    refused("openai wrong key", openai.AuthenticationError, lambda: wrong.models.list())
    refused("openai unknown model", openai.NotFoundError, lambda: create(model="nobody", messages=ASKED))
    refused("openai bad field", openai.BadRequestError, lambda: create(model="run", messages=ASKED, temperature=9))
    refused("openai tools", openai.BadRequestError, lambda: create(
        model="run", messages=ASKED, tools=[{"type": "function", "function": {"name": "f"}}]))
    long = [{"role": "user", "content": "how many ? " * 50_000}]
    try:
        answer = create(model="run:fast", messages=long)
    except openai.APIStatusError as error:
        seen("openai long input", error.status_code in (400, 413, 502), f"{error.status_code} {error.code}")
    else:
        seen("openai long input", bool(answer.id), "answered")


def raw():
    request = urllib.request.Request(f"{BASE}/chat/completions", b'{"model": ', {"Authorization": f"Bearer {KEY}"})
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        body = json.load(error)
        seen("bad JSON", error.code == 400 and body["error"]["code"] == "invalid_json", body["error"]["message"])


def of_langchain():
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="run", base_url=BASE, api_key=KEY, max_retries=0)
    answer = model.invoke(QUESTION)
    seen("langchain chat", "2592" in answer.content, f"{answer.content} {answer.usage_metadata['total_tokens']} tokens")
    text = "".join(chunk.text if isinstance(chunk.text, str) else chunk.text() for chunk in model.stream(QUESTION))
    seen("langchain stream", "2592" in text, text)


def of_litellm():
    import litellm

    asked = {"model": "openai/run", "messages": ASKED, "api_base": BASE, "api_key": KEY}
    answer = litellm.completion(**asked)
    seen("litellm chat", "2592" in answer.choices[0].message.content, answer.choices[0].message.content)
    chunks = litellm.completion(stream=True, **asked)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    seen("litellm stream", "2592" in text, text)
    refused("litellm wrong key", litellm.AuthenticationError, lambda: litellm.completion(**{**asked, "api_key": "sk-wrong"}))


def of_admin():
    with urllib.request.urlopen(f"{ADMIN}/") as page:
        policy = page.headers["content-security-policy"]
        seen("page", page.read().startswith(b"<!doctype html>") and "default-src 'none'" in policy, policy[:60])
    live = json.load(urllib.request.urlopen(f"{ADMIN}/admin/live"))
    shown = live["requests"]
    seen("page's data", len(shown) > 5 and all(it["question"] is None for it in shown), f"{len(shown)} requests, no text")
    counted = urllib.request.urlopen(f"{ADMIN}/metrics").read().decode()
    seen("metrics", 'lamas_requests_total{model="run",result="answered"}' in counted, f"{len(counted.splitlines())} lines")
    try:
        urllib.request.urlopen(BASE.removesuffix("/v1") + "/")
    except urllib.error.HTTPError as error:
        seen("page without a key", error.code == 401, error.headers["www-authenticate"])
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"Authorization": f"Bearer {KEY}", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    with urllib.request.urlopen(urllib.request.Request(f"{BASE}/models", None, headers)) as answer:
        seen("traceparent", answer.headers["traceparent"].startswith(f"00-{trace}-"), answer.headers["traceparent"])


of_openai()
raw()
of_langchain()
of_litellm()
of_admin()
