# SPDX-FileCopyrightText: The mixedversion.kubernetes authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill an etcd with keys through its JSON gateway, with the standard library alone: it runs on a lab's node.

usage: python3 load.py ENDPOINT CA CERT KEY COUNT VALUE_BYTES

The keys are ``/load/<number>``. Values are random, as a real store's protobuf hardly compresses either, but the same on
every run. One transaction carries as many puts as etcd allows, over a few connections that are kept open.
"""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import itertools
import json
import random
import ssl
import sys
import typing as t
import urllib.parse

#: What etcd allows in one transaction unless told otherwise (--max-txn-ops), and in one request (--max-request-bytes).
MAX_OPERATIONS = 128
MAX_REQUEST_BYTES = 1_000_000
CONNECTIONS = 4


def requests(numbers: t.Iterable[int], value_bytes: int, batch: int) -> t.Iterator[str]:
    """The bodies of the transactions that put the keys of *numbers*."""
    numbers = iter(numbers)
    while True:
        some = list(itertools.islice(numbers, batch))
        if not some:
            return
        source = random.Random(some[0])
        puts = [
            {
                "requestPut": {
                    "key": base64.b64encode(b"/load/%09d" % number).decode(),
                    "value": base64.b64encode(source.randbytes(value_bytes)).decode(),
                }
            }
            for number in some
        ]
        yield json.dumps({"success": puts})


def put(endpoint: str, context: ssl.SSLContext, bodies: t.Iterable[str]) -> int:
    """Send *bodies* one after another over one connection; the revision after the last one."""
    parts = urllib.parse.urlsplit(endpoint)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 2379, timeout=60, context=context)
    revision = 0
    for body in bodies:
        connection.request("POST", "/v3/kv/txn", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"etcd answered {answer.status}: {text[:500].decode(errors='replace')}")
        document = json.loads(text)
        if not document.get("succeeded"):
            raise SystemExit(f"a transaction did not succeed: {text[:500].decode(errors='replace')}")
        revision = int(document["header"]["revision"])
    connection.close()
    return revision


def main() -> None:
    endpoint, ca_file, cert_file, key_file = sys.argv[1:5]
    count, value_bytes = map(int, sys.argv[5:])
    context = ssl.create_default_context(cafile=ca_file)
    context.load_cert_chain(cert_file, key_file)
    batch = max(1, min(MAX_OPERATIONS, MAX_REQUEST_BYTES // (value_bytes + 64)))
    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        waiting = [
            pool.submit(put, endpoint, context, requests(range(first, count, CONNECTIONS), value_bytes, batch))
            for first in range(CONNECTIONS)
        ]
        revision = max(done.result() for done in waiting)
    print(f"{count} keys of {value_bytes} bytes, revision {revision}")


if __name__ == "__main__":
    main()
