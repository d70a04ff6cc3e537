"""The DNS of a test cluster: `NAME.NAMESPACE.svc.cluster.local` is the address of that Service; nothing else is known.

dns.py ADDRESS SERVER PKI    answers on ADDRESS:53, asks the API server SERVER with the admin's certificate in PKI
"""

import json
import re
import socket
import ssl
import struct
import sys
import urllib.error
import urllib.request

A, CLASS_IN = 1, 1
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
SECONDS_TO_LIVE = 1

address, server, pki = sys.argv[1:]
tls = ssl.create_default_context(cafile=f"{pki}/ca.crt")
tls.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")


def service(name):
    """The cluster IP of the Service that a name is of, if there is one."""
    found = re.fullmatch(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local", name)
    if not found:
        return None
    url = f"{server}/api/v1/namespaces/{found[2]}/services/{found[1]}"
    try:
        with urllib.request.urlopen(url, context=tls, timeout=5) as answer:
            return json.load(answer)["spec"]["clusterIP"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def question(query):
    """The name in a query's one question, its type, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def reply(query):
    name, kind, end = question(query)
    answer, code = b"", NO_ERROR
    try:
        ip = service(name)
        if ip is None:
            code = NO_SUCH_NAME
        elif kind == A:
            # The name is the question's: a pointer to it.
            answer = struct.pack("!HHHIH", 0xC00C, A, CLASS_IN, SECONDS_TO_LIVE, 4) + socket.inet_aton(ip)
    except OSError:
        code = SERVER_FAILURE
    flags = 0x8580 | code
    return query[:2] + struct.pack("!HHHHH", flags, 1, int(bool(answer)), 0, 0) + query[12:end] + answer


listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind((address, 53))
while True:
    query, asker = listener.recvfrom(4096)
    try:
        listener.sendto(reply(query), asker)
    except (IndexError, UnicodeDecodeError, struct.error):
        pass  # no query of the kind that is sent here
