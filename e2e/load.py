#!/usr/bin/env python3
"""Puts load on the gateways: goes on verifying every token that the sandboxes were ever given and that is still good.

    load.py TOKENS GATEWAY CA NAME STATE

TOKENS is a glob of token files, GATEWAY an address and port, CA and NAME what its certificate is checked against. STATE
is a directory: `revoked`, once there is one, holds a kid and an instant: the tokens of that key are not good any more, nor is
any whose lineage had begun by then; `verdict.json` is written twice a second. A token that is good and was not accepted is a failure, whatever is done to the fleet meanwhile; a gateway that
cannot be reached, or that answers "unavailable", is none: a client tries again.
"""

import base64
import glob
import http.client
import json
import os
import random
import ssl
import sys
import threading
import time

WORKERS = 4
# A token is not judged in the last moments of its life.
MARGIN = 2


def part(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Load:
    def __init__(self, tokens, gateway, authority, name, state):
        self.pattern, self.state = tokens, state
        self.host, port = gateway.rsplit(":", 1)
        self.port, self.name = int(port), name
        self.tls = ssl.create_default_context(cafile=authority)
        self.lock = threading.Lock()
        self.tokens = {}
        self.verdict = {"accepted": 0, "rejected": 0, "unavailable": 0, "unreachable": 0, "tokens": 0, "kids": {}, "examples": []}

    def look(self):
        """Finds new tokens, and forgets the dead."""
        now = time.time()
        for path in glob.glob(self.pattern):
            try:
                with open(path, encoding="ascii") as file:
                    token = file.read().strip()
            except OSError:
                continue
            if token and token not in self.tokens:
                claims = part(token, 1)
                with self.lock:
                    self.tokens[token] = (part(token, 0)["kid"], claims)
                    self.verdict["tokens"] += 1
        with self.lock:
            for token in [token for token, (_, claims) in self.tokens.items() if claims["exp"] - MARGIN <= now]:
                del self.tokens[token]

    def revoked(self, kid, claims):
        try:
            with open(os.path.join(self.state, "revoked"), encoding="ascii") as file:
                revoked, floor = file.read().split()
        except OSError:
            return False
        return kid == revoked or claims["keystile"]["began"] <= int(floor)

    def one(self):
        with self.lock:
            if not self.tokens:
                return time.sleep(0.05)
            token, (kid, claims) = random.choice(list(self.tokens.items()))
        exp = claims["exp"]
        if self.revoked(kid, claims) or exp - MARGIN <= time.time():
            return None
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=self.tls)
        try:
            connection.sock = self.tls.wrap_socket(
                connection._create_connection((self.host, self.port), 5), server_hostname=self.name
            )
            connection.request("GET", "/verify", headers={"authorization": "Bearer " + token})
            answer = connection.getresponse()
            body = answer.read(500).decode(errors="replace")
        except OSError:
            return self.count("unreachable")
        except http.client.HTTPException:
            return self.count("unreachable")
        finally:
            connection.close()
        if answer.status == 200:
            return self.count("accepted", kid)
        if answer.status == 503:
            return self.count("unavailable")
        # What was revoked meanwhile was not good, nor what ended on its way, the leeway of 5 s included.
        if not self.revoked(kid, claims) and exp + 5 > time.time():
            example = f"{answer.status} for a token of {claims['sandbox_id']} by {kid}, good for {exp - time.time():.0f} s more: {body}"
            self.count("rejected", example=example)
        return None

    def count(self, what, kid=None, example=None):
        with self.lock:
            self.verdict[what] += 1
            if kid:
                self.verdict["kids"][kid] = self.verdict["kids"].get(kid, 0) + 1
            if example and len(self.verdict["examples"]) < 10:
                self.verdict["examples"].append(example)

    def work(self):
        while True:
            self.one()

    def run(self):
        for _ in range(WORKERS):
            threading.Thread(target=self.work, daemon=True).start()
        while True:
            self.look()
            with self.lock:
                text = json.dumps(self.verdict)
            new = os.path.join(self.state, "verdict.new")
            with open(new, "w", encoding="ascii") as file:
                file.write(text)
            os.replace(new, os.path.join(self.state, "verdict.json"))
            time.sleep(0.5)


if __name__ == "__main__":
    Load(*sys.argv[1:]).run()
