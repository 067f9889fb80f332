"""What a client library would ask a venue goes to the test that started it, line by line, and the answers come back.

A request is a line of JSON on standard output, its answer a line on standard input. The last line says what the library
holds at the end.
"""

import json
import sys


def http(method, url, body=None):
    """Status, headers and body of the venue's answer."""
    path, _, query = url.partition("?")
    answer = _ask({"http": {"method": method, "path": path, "query": query, "body": body or ""}})
    return answer["status"], answer["headers"], answer["body"]


def socket(text):
    """The messages with which the venue answers this one."""
    return _ask({"socket": text})


def hold(held):
    """Ends the conversation."""
    _say({"held": held})


def _ask(request):
    _say(request)
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("the test went away")
    return json.loads(line)


def _say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
