"""A back end behind a proxy that sets X-Koubei-Assertion.

KOUBEI_ISSUER=https://isv.example/koubei python3 server.py
"""

import json
import os
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from koubei import Refused, Verifier

verifier = Verifier(os.environ["KOUBEI_ISSUER"], os.environ.get("KOUBEI_AUDIENCE"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        assertions = self.headers.get_all("X-Koubei-Assertion", [])
        try:
            if len(assertions) > 1:
                raise Refused(401, "more than one assertion")
            operator = verifier.operator("".join(assertions), partner_id=query.get("partner_id", [None])[0])
            self.answer(200, asdict(operator))
        except Refused as e:
            self.answer(e.status, {"status": e.status})

    def answer(self, status, body):
        text = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        if status == 503:
            self.send_header("Retry-After", "2")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass  # the assertion is a credential: log no headers


server = ThreadingHTTPServer((os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "3000"))), Handler)
print(f"http://{server.server_address[0]}:{server.server_address[1]}", flush=True)
server.serve_forever()
