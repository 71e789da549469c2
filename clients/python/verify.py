"""Verifies the assertion on standard input and prints the operator, or, with exit code 1, the status.

curl -s … | KOUBEI_ISSUER=https://isv.example/koubei python3 verify.py
"""

import json
import os
import sys
from dataclasses import asdict

from koubei import Refused, Verifier

verifier = Verifier(os.environ["KOUBEI_ISSUER"], os.environ.get("KOUBEI_AUDIENCE"), os.environ.get("KOUBEI_JWKS_URL"))
try:
    print(json.dumps(asdict(verifier.operator(sys.stdin.read().strip())), default=str))
except Refused as e:
    print(json.dumps({"status": e.status, "why": str(e)}))
    sys.exit(1)
