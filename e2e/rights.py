#!/usr/bin/env python3
"""Whether each identity of the chart may do what it should, and nothing else: a real API server is asked.

    rights.py KUBECONFIG            compares with deploy/helm/rights.txt
    rights.py KUBECONFIG --bless    writes that file anew, to be looked at

For each value set of the chart the ServiceAccounts, roles and bindings that Helm renders are made, hooks included. Then,
for each ServiceAccount, as itself:

* The complete list of what it may do, in every namespace, less what everybody may who has logged in, is that of
  rights.txt. A ServiceAccount that the file does not know, or a pod that runs as one the chart does not make, fails.
* Every verb is asked for, on the kinds of objects that the chart touches and on those that would give more rights, on
  the chart's objects, on another one, on none in particular, in every namespace and in all at once. The answers must be
  what the list says.

Needs helm and kubectl; nothing else than the kubeconfig of e2e/control-plane.
"""

import http.client
import json
import re
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import local

ROOT = Path(__file__).resolve().parents[1]
CHART, SETS, EXPECTED = (ROOT / "deploy/helm" / name for name in ("keystile", "value-sets", "rights.txt"))
RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
VERBS = "get list watch create update patch delete deletecollection".split()
# Each is a verb of one resource, and gives the rights of another identity.
MORE_VERBS = {"users": "impersonate", "groups": "impersonate", "serviceaccounts": "impersonate", "roles": "bind escalate",
              "clusterroles": "bind escalate"}
RESOURCES = """
secrets configmaps events pods pods/exec pods/attach pods/log services endpoints namespaces nodes nodes/proxy
users groups serviceaccounts serviceaccounts/token
leases.coordination.k8s.io deployments.apps deployments.apps/scale jobs.batch cronjobs.batch events.events.k8s.io
roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io
clusterroles.rbac.authorization.k8s.io clusterrolebindings.rbac.authorization.k8s.io
tokenreviews.authentication.k8s.io subjectaccessreviews.authorization.k8s.io certificatesigningrequests.certificates.k8s.io
networkpolicies.networking.k8s.io validatingwebhookconfigurations.admissionregistration.k8s.io
customresourcedefinitions.apiextensions.k8s.io sandboxes.agents.x-k8s.io
""".split()
WORKERS = 4


class Server:
    """Calls to the API server, one connection a thread, as whom it is told."""

    def __init__(self, kubeconfig):
        text = Path(kubeconfig).read_text(encoding="utf-8")

        def found(name):
            return re.search(name + r': "([^"]+)"', text)[1]

        self.host, self.port = re.search(r"https://([^:]+):(\d+)", text).groups()
        self.tls = ssl.create_default_context(cafile=found("certificate-authority"))
        self.tls.load_cert_chain(found("client-certificate"), found("client-key"))
        self.thread = local()

    def ask(self, path, body=None, as_user=None):
        if not hasattr(self.thread, "connection"):
            self.thread.connection = http.client.HTTPSConnection(self.host, int(self.port), timeout=60, context=self.tls)
        headers = {"content-type": "application/json", "accept": "application/json"}
        if as_user:
            headers["impersonate-user"] = as_user
        method = "GET" if body is None else "POST"
        self.thread.connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self.thread.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f"{method} {path} was answered {answer.status}: {text[:300]!r}")
        return json.loads(text)

    def review(self, kind, user, spec):
        """What the server says to `user` itself, who has the groups of any ServiceAccount."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        return self.ask(f"/apis/authorization.k8s.io/v1/{kind.lower()}s", body, user)["status"]

    def rules(self, user, namespace):
        status = self.review("SelfSubjectRulesReview", user, {"namespace": namespace})
        if status["incomplete"]:
            sys.exit(f"the list for {user} in {namespace} is incomplete: {status}")
        rules = {Rule.of(rule) for rule in status["resourceRules"]}
        return rules | {Rule.of({**rule, "resources": rule["nonResourceURLs"]}) for rule in status["nonResourceRules"]}


class Rule(tuple):
    """(verbs, groups, resources, names), each sorted."""

    @classmethod
    def of(cls, rule):
        return cls(tuple(sorted(rule.get(part) or ())) for part in ("verbs", "apiGroups", "resources", "resourceNames"))

    def allows(self, verb, group, resource, name):
        verbs, groups, resources, names = self

        def among(what, those):
            return what in those or "*" in those

        return among(verb, verbs) and among(group, groups) and among(resource, resources) and (not names or name in names)

    def __str__(self):
        verbs, groups, resources, names = self
        what = ",".join(resources) + ("." + ",".join(groups) if any(groups) else "")
        return f"{' '.join(verbs)}: {what}" + (f" named {' '.join(names)}" if names else "")


def kubectl(kubeconfig, *words, **options):
    return subprocess.run(["kubectl", "--kubeconfig", kubeconfig, *words], check=True, text=True, **options)


class Release:
    """What the chart makes of one value set, in a namespace of its own."""

    def __init__(self, kubeconfig, values):
        self.name, self.namespace = values.stem, f"rights-{values.stem}"
        command = ["helm", "template", "keystile", CHART, "-n", self.namespace, "-f", values, "--kube-version", "1.34.4"]
        rendered = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        objects = re.split(r"^---$", rendered, flags=re.MULTILINE)
        kind = re.compile(r"^kind: (\w+)$", re.MULTILINE)
        rights = [text for text in objects if (match := kind.search(text)) and match[1] in RIGHTS]
        self.others = set(re.findall(r"^  namespace: (\S+)$", "".join(rights), re.MULTILINE)) - {self.namespace}
        account = re.compile(r"^kind: ServiceAccount\nmetadata:\n  name: (\S+)$", re.MULTILINE)
        self.identities = sorted(set(account.findall("".join(rights))))
        runs_as = set(re.findall(r"serviceAccountName: (\S+)", rendered))
        if not self.identities or not runs_as <= set(self.identities):
            sys.exit(f"{self.name}: pods run as {sorted(runs_as)}, the chart makes {self.identities}")
        for namespace in {self.namespace, *self.others}:
            made = kubectl(kubeconfig, "create", "namespace", namespace, "--dry-run=client", "-o", "yaml", capture_output=True)
            kubectl(kubeconfig, "apply", "-f", "-", input=made.stdout, stdout=subprocess.DEVNULL)
        kubectl(kubeconfig, "apply", "-f", "-", input="---\n".join(rights), stdout=subprocess.DEVNULL)
        named = re.findall(r"^    resourceNames: \[(.*)\]$", "".join(rights), re.MULTILINE)
        self.names = sorted({name.strip() for names in named for name in names.split(",")})

    def user(self, identity):
        return f"system:serviceaccount:{self.namespace}:{identity}"

    def namespaces(self):
        return [self.namespace, *sorted(self.others), "kube-system"]

    def look(self, server):
        """Notes what each identity may do by the server's list, and what everybody may."""
        self.everybody = server.rules(self.user("of-no-role"), self.namespace)
        self.rights = {
            (identity, namespace): server.rules(self.user(identity), namespace) - self.everybody
            for identity in self.identities
            for namespace in self.namespaces()
        }

    def listed(self, identity, namespace):
        """What may be done in every namespace may be done in all at once."""
        within = [namespace] if namespace else self.namespaces()
        return self.everybody | set.intersection(*(self.rights[identity, each] for each in within))

    def questions(self):
        for resource in RESOURCES:
            names = ["", "another", *(self.names if resource == "secrets" else ["keystile"])]
            verbs = [*VERBS, *MORE_VERBS.get(resource.partition(".")[0], "").split()]
            yield from product(self.identities, [*self.namespaces(), ""], verbs, [resource], names)

    def ask(self, server):
        """(how many were asked, how many allowed, those that were answered otherwise than listed)"""

        def answer(question):
            identity, namespace, verb, resource, name = question
            whole, _, part = resource.partition("/")
            resource, _, group = whole.partition(".")
            what = {"verb": verb, "group": group, "resource": resource, "subresource": part, "name": name}
            spec = {"resourceAttributes": {**what, "namespace": namespace}}
            allowed = server.review("SelfSubjectAccessReview", self.user(identity), spec)["allowed"]
            rule = (verb, group, f"{resource}/{part}" if part else resource, name)
            return allowed, allowed == any(each.allows(*rule) for each in self.listed(identity, namespace))

        questions = list(self.questions())
        with ThreadPoolExecutor(WORKERS) as pool:
            answers = list(pool.map(answer, questions))
        wrong = [f"{question}: {allowed}" for question, (allowed, right) in zip(questions, answers, strict=True) if not right]
        return len(answers), sum(allowed for allowed, _ in answers), wrong


def described(releases):
    lines = ["# What each identity of the chart may do, as a real API server lists it. Made by e2e/rights.py."]
    for release in releases:
        for (identity, namespace), rules in release.rights.items():
            lines += ["", f"{release.name}: {identity} in {namespace}"]
            lines += [f"  {rule}" for rule in sorted(map(str, rules))] or ["  nothing"]
    return "\n".join(lines) + "\n"


def main(kubeconfig, bless=None):
    server = Server(kubeconfig)
    releases = [Release(kubeconfig, values) for values in sorted(SETS.glob("*.yaml"))]
    expected = EXPECTED.read_text(encoding="utf-8") if EXPECTED.exists() else ""
    # The authorizer hears of a role a moment after it was made.
    settled = time.monotonic() + 10
    while True:
        for release in releases:
            release.look(server)
        found = described(releases)
        if found == expected or time.monotonic() > settled:
            break
    if bless == "--bless":
        EXPECTED.write_text(found, encoding="utf-8")
    elif found != expected:
        compare = ["diff", "-u", "--label", "expected", "--label", "found", EXPECTED, "-"]
        subprocess.run(compare, input=found, text=True, check=False)
        sys.exit(f"the rights are not those of {EXPECTED.name}; if on purpose: {sys.argv[0]} KUBECONFIG --bless")
    total, granted = 0, 0
    for release in releases:
        asked, allowed, wrong = release.ask(server)
        total, granted = total + asked, granted + allowed
        if wrong:
            sys.exit(f"{release.name}: {len(wrong)} of {asked} answers are not as listed, such as\n" + "\n".join(wrong[:20]))
        who = ", ".join(release.identities)
        print(f"rights of {who} ({release.name}): {asked} questions, {allowed} allowed, {asked - allowed} refused, as listed")
    print(f"rights: {total} questions in all, {granted} allowed")


if __name__ == "__main__":
    main(*sys.argv[1:])
