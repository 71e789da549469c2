"""Which Koubei operator a request comes from, by the assertion in the header X-Koubei-Assertion.

Needs Python 3.9, PyJWT 2.4 and cryptography (Debian: python3-jwt, python3-cryptography). License: Apache-2.0.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Collection, Optional

import jwt

# The operator types that Koubei documents. It may send others.
DOCUMENTED_TYPES = ("PROVIDER", "PROVIDER_STAFF", "MER", "MER_STAFF", "SALES")

_FRESH = 300.0  # seconds that keys are used without a refresh
_MAX_STALE = 3600.0  # seconds that they are used after that, while the service does not answer
_COOLDOWN = 10.0  # seconds between two fetches
_KNOWN_KEY_WAIT = 0.25  # seconds that a request waits for a refresh although it has the key
_LEEWAY = 5  # seconds that two clocks may differ
_MAX_JWKS = 256 << 10


class Refused(Exception):
    """A request that may not pass.

    status is 401 if nobody is signed in, 403 if somebody may not pass, 503 if that could not be found out.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Operator:
    """The person who sent a request, and the partner for whom that person acts."""

    operator_id: str
    operator_type: str
    partner_id: Optional[str]  # the merchant; None if Koubei named none
    shop_ids: Optional[str]  # "overflow": too long for a header, ask /session
    app_id: str
    until: datetime  # when the assertion ends


class Verifier:
    """Verifies assertions. Make one for the whole process; it may be used by many threads.

    issuer is exactly the service's PUBLIC_URL. audience is your entry in its ASSERTION_AUDIENCE.
    """

    def __init__(self, issuer: str, audience: Optional[str] = None, jwks_url: Optional[str] = None, timeout: float = 3.0):
        self._issuer = issuer
        self._audience = audience or issuer
        self._keys = _Keys(jwks_url or issuer.rstrip("/") + "/.well-known/jwks.json", timeout)

    def operator(self, assertion: Optional[str], types: Collection[str] = DOCUMENTED_TYPES, partner_id: Optional[str] = None) -> Operator:
        """Returns the operator in an assertion, who may pass. Raises Refused.

        types are the operator types allowed. partner_id is the partner that the request is about, "" for the entry
        for which Koubei named none.
        """
        if not assertion:
            raise Refused(401, "no assertion")
        claims = self._verified(assertion)
        if claims["operator_type"] not in types:
            raise Refused(403, "this operator type is not allowed")
        # A page about one merchant must not act for the merchant of another tab.
        if partner_id is not None and partner_id != (claims["partner_id"] or ""):
            raise Refused(403, "another partner")
        return Operator(claims["sub"], claims["operator_type"], claims["partner_id"], claims.get("shop_ids"), claims["app_id"],
                        datetime.fromtimestamp(claims["exp"], timezone.utc))

    def _verified(self, assertion: str) -> dict:
        try:
            header = jwt.get_unverified_header(assertion)
            if str(header.get("typ")).upper() != "JWT" or "crit" in header or not isinstance(header.get("kid"), str):
                raise Refused(401, "not an assertion")
            key, algorithm = self._keys.find(header["kid"])
            # The key decides the algorithm. The header may be forged.
            claims = jwt.decode(assertion, key, algorithms=[algorithm], issuer=self._issuer, audience=self._audience, leeway=_LEEWAY,
                                options={"require": ["iss", "aud", "sub", "iat", "exp"]})
        except jwt.PyJWTError as e:
            raise Refused(401, str(e)) from e
        if not all(isinstance(claims.get(name), str) and claims[name] for name in ("sub", "app_id", "operator_type")):
            raise Refused(401, "a claim is missing")
        if "partner_id" not in claims or not isinstance(claims["partner_id"], (str, type(None))):
            raise Refused(401, "a claim is missing")
        if claims["iat"] > time.time() + _LEEWAY:
            raise Refused(401, "from the future")
        return claims


class _Keys:
    """A cache of the service's public keys. It never fetches them more than once at a time."""

    def __init__(self, url: str, timeout: float):
        self._url = url
        self._timeout = timeout
        self._lock = threading.Lock()
        self._by_id: dict = {}
        self._loaded = self._tried = float("-inf")
        self._running: Optional[threading.Event] = None  # set at the end of the fetch
        self._opener = urllib.request.build_opener(_NoRedirects)

    def find(self, kid: str):
        """Returns a key and its algorithm. Raises Refused."""
        with self._lock:
            age = time.monotonic() - self._loaded
            known = kid in self._by_id and age < _FRESH + _MAX_STALE
            if known and age < _FRESH:
                return self._by_id[kid]
            if self._running is None and time.monotonic() - self._tried >= _COOLDOWN:
                self._tried = time.monotonic()
                self._running = threading.Event()
                threading.Thread(target=self._refresh, args=[self._running], daemon=True).start()
            running = self._running
        if running is not None:
            running.wait(_KNOWN_KEY_WAIT if known else self._timeout + 1)
        with self._lock:
            age = time.monotonic() - self._loaded
            if kid in self._by_id and age < _FRESH + _MAX_STALE:
                return self._by_id[kid]
            if self._loaded < self._tried:
                raise Refused(503, "the keys are unavailable")
            raise Refused(401, "signed with a key that is not published")

    def _refresh(self, done: threading.Event) -> None:
        try:
            with self._opener.open(self._url, timeout=self._timeout) as response:
                keys = _parse(response.read(_MAX_JWKS + 1))
        except Exception:  # down, slow, or something else than keys: _loaded stays behind _tried
            keys = None
        with self._lock:
            if keys is not None:
                self._by_id, self._loaded = keys, time.monotonic()
            self._running = None
        done.set()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def _parse(body: bytes) -> dict:
    """Returns the keys of a JWK set that may sign assertions, with their algorithms. Ignores the others."""
    if len(body) > _MAX_JWKS:
        raise ValueError("too long")
    keys = {}
    for jwk in json.loads(body)["keys"]:
        algorithm = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}.get((jwk.get("kty"), jwk.get("crv")))
        if algorithm is None or "d" in jwk or not jwk.get("kid") or jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
            continue
        keys[jwk["kid"]] = jwt.PyJWK(jwk, algorithm).key, algorithm
    return keys
