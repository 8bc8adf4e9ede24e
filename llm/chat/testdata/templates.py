#!/usr/bin/env python3
"""Writes templates.json: conversations as Jinja2 renders them with the
templates in templates/, set up as in transformers. Needs python3-jinja2."""
import datetime, glob, json, os
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.ext import loopcontrols

class Raised(Exception): pass
def raise_exception(m): raise Raised(m)
def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2025, 3, 9, 14, 5).strftime(f)

def turns(*texts):
    return [{"role": r, "content": t} for r, t in texts]
S, U, A = "system", "user", "assistant"
CONVERSATIONS = [
    turns((U, "Hello")),
    turns((S, "Be brief."), (U, "Hello")),
    turns((U, " Hello\n"), (A, "Hi, Grüße!"), (U, "Why?")),
    turns((S, "Be brief."), (U, "Hello"), (A, "\n Hi \n"), (U, "Why?"), (A, "So."), (U, "  ok")),
    turns((U, "Hello"), (A, "<think>\nHm.\n</think>\n\nHi."), (U, "Why?")),
    turns((U, "Hello"), (U, "Why?")),
]
TOKENS = {"llama-3": ("<|begin_of_text|>", "<|eot_id|>"), "llama-3.2": ("<|begin_of_text|>", "<|eot_id|>"), "gemma-2": ("<bos>", "<eos>"), "gemma-3": ("<bos>", "<eos>"), "deepseek-r1-distill": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")}
here = os.path.dirname(os.path.abspath(__file__))
out = []
for path in sorted(glob.glob(os.path.join(here, "templates", "*.jinja"))):
    name = os.path.basename(path)[:-len(".jinja")]
    bos, eos = TOKENS.get(name, ("<s>", "</s>"))
    for messages in CONVERSATIONS:
        case = {"template": name, "bos": bos, "eos": eos, "messages": messages}
        try:
            case["text"] = env.from_string(open(path).read()).render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos, tools=None, documents=None)
        except Raised as e:
            case["raised"] = str(e)
        out.append(case)
with open(os.path.join(here, "templates.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(o, ensure_ascii=False) for o in out) + "\n]\n")
