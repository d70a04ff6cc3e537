#!/usr/bin/env python3
"""Whether what sslyze found is what a gateway should speak.

    tls_scan.py SCAN.json OPTIONAL|REQUIRED      what is expected of client certificates

Everything is compared: a version, a suite or a curve too many fails as one too few does.
"""

import json
import sys

SUITES = {
    "ssl_2_0": [],
    "ssl_3_0": [],
    "tls_1_0": [],
    "tls_1_1": [],
    # The server's key is ECDSA's.
    "tls_1_2": [
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ],
    "tls_1_3": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
}
# X25519MLKEM768, which comes first, is beyond this scanner; the gateway's own tests ask for it.
CURVES = ["X25519", "secp256r1", "secp384r1"]
# What a connection must be open for.
AFTER_THE_HANDSHAKE = ("tls_1_3_early_data", "session_renegotiation")
ANSWERS = {
    "tls_compression.supports_compression": False,
    "tls_1_3_early_data.supports_early_data": False,
    "session_renegotiation.supports_secure_renegotiation": True,
    "session_renegotiation.is_vulnerable_to_client_renegotiation_dos": False,
    "session_renegotiation.client_renegotiations_success_count": 0,
    "openssl_ccs_injection.is_vulnerable_to_ccs_injection": False,
    "heartbleed.is_vulnerable_to_heartbleed": False,
    "robot.robot_result": "NOT_VULNERABLE_RSA_NOT_SUPPORTED",
    "tls_fallback_scsv.supports_fallback_scsv": True,
    "tls_extended_master_secret.supports_ems_extension": True,
}


def main(path: str, certificates: str) -> int:
    scans = json.load(open(path))["server_scan_results"]
    assert len(scans) == 1, f"one server was scanned, found {len(scans)}"
    results = scans[0]["scan_result"]
    wrong = []

    def check(what, found, expected):
        if found != expected:
            wrong.append(f"{what}: found {found}, expected {expected}")

    def result(name):
        scanned = results[name]
        assert scanned["status"] == "COMPLETED", f"{name}: {scanned['status']} {scanned['error_trace']}"
        return scanned["result"]

    check("client certificates", scans[0]["connectivity_result"]["client_auth_requirement"], certificates)
    for version, suites in SUITES.items():
        accepted = result(f"{version}_cipher_suites")["accepted_cipher_suites"]
        check(version, sorted(suite["cipher_suite"]["name"] for suite in accepted), suites)
    check("curves", sorted(curve["name"] for curve in result("elliptic_curves")["supported_curves"]), CURVES)
    for name, expected in ANSWERS.items():
        scan, member = name.split(".")
        if certificates == "REQUIRED" and scan in AFTER_THE_HANDSHAKE:
            check(f"{scan} without a certificate", results[scan]["error_reason"], "CLIENT_CERTIFICATE_NEEDED")
            continue
        check(name, result(scan)[member], expected)
    for chain in result("certificate_info")["certificate_deployments"]:
        check("order of the chain", chain["received_chain_has_valid_order"], True)
        check("authority in the chain", chain["received_chain_contains_anchor_certificate"], False)
        check("SHA-1 in the chain", chain["verified_chain_has_sha1_signature"], False)
        ours = [found for found in chain["path_validation_results"] if found["trust_store"]["name"] == "Supplied CA file"]
        check("chain up to its authority", [found["was_validation_successful"] for found in ours], [True])
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    print(f"  {sum(map(len, SUITES.values()))} cipher suites, {len(CURVES)} curves: as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
