#!/usr/bin/env python3
"""Renders templates with Jinja2, set up as the library transformers sets it up
for chat templates. Reads a list of {"template": ..., "vars": {...}} in JSON and
writes a list of {"output": ...}, {"raised": ...} or {"error": ...}: see
reference_test.go."""
import datetime, functools, json, os, sys, time
import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(Extension):
    """{% generation %}: what the model has said, marked for training."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller):
        return caller()


class Raised(Exception):
    pass


def raise_exception(message):
    raise Raised(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def strftime_now(format):
    return datetime.datetime(2026, 3, 7, 9, 5).strftime(format)


@functools.cache
def parse(source):
    return env.from_string(source)


def render(case):
    try:
        return {"output": parse(case["template"]).render(**case["vars"])}
    except Raised as e:
        return {"raised": str(e)}
    except Exception as e:
        return {"error": type(e).__name__ + ": " + str(e)}


os.environ["TZ"] = "UTC"
time.tzset()
env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = strftime_now
json.dump([render(case) for case in json.load(sys.stdin)], sys.stdout)
