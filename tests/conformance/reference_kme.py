"""Two small KMEs that do what ETSI GS QKD 014 says, over real TLS, until they are told to break one of its rules."""

import base64
import json
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.x509.oid import NameOID

from keyhop.pki import Authority, create_authority
from keyhop.testing.conformance.etsi014 import Etsi014Target
from keyhop.testing.conformance.https import Identity, Party

HOMES = {"master": "kme-a", "slave": "kme-b", "third": "kme-b"}
NOT_FOUND = "one or more keys specified are not found on KME"
MANDATORY = "not all extension_mandatory parameters are supported"


class Refused(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message


@dataclass
class Made:
    """A key that waits for its slaves."""

    secret: bytes
    master: str
    waiting: set[str]


@dataclass
class Kmes:
    """What both share; `faults` are the rules that they break."""

    faults: set[str] = field(default_factory=set)
    keys: dict[str, Made] = field(default_factory=dict)
    last: bytes = b""

    def answer(self, kme: str, sae: str, method: str, target: str, body: bytes, kind: str) -> Any:
        """The document of a 200. Raises Refused."""
        parts = urlsplit(target)
        _, _, _, _, other, call = parts.path.split("/")
        if "paths are not decoded" not in self.faults:
            other = unquote(other)
        if "charset" in kind and "charset is refused" in self.faults:
            raise Refused(400, "content type")
        if call != "dec_keys" and other not in HOMES and "any slave" not in self.faults:
            raise Refused(400, "no such SAE")
        query = parse_qs(parts.query)
        if call == "status":
            return self._status(kme, sae, other)
        return (
            self._new_keys(sae, other, method, query, body)
            if call == "enc_keys"
            else self._found(sae, other, method, query, body)
        )

    def _status(self, kme: str, sae: str, other: str) -> dict[str, Any]:
        status: dict[str, Any] = {
            "source_KME_ID": kme,
            "target_KME_ID": HOMES.get(other, "?"),
            "master_SAE_ID": other if "callers are not known" in self.faults else sae,
            "slave_SAE_ID": other,
            "key_size": 128 if "wrong default size" in self.faults else 256,
            "stored_key_count": "100" if "counts are strings" in self.faults else 100,
            "max_key_count": 100,
            "max_key_per_request": 4,
            "max_key_size": 1024,
            "min_key_size": 64,
            "max_SAE_ID_count": 1,
        }
        if "a count is missing" in self.faults:
            del status["max_SAE_ID_count"]
        return status

    def _new_keys(self, sae: str, other: str, method: str, query: dict[str, list[str]], body: bytes) -> Any:
        if method == "GET":
            asked: Any = {name: int(values[0]) for name, values in query.items()}
            if "GET ignores its query" in self.faults:
                asked = {}
        else:
            asked = self._json(body or b"{}")
        if not isinstance(asked, dict):
            raise Refused(400, "no object")
        number, size = asked.get("number", 1), asked.get("size", 256)
        if type(number) is not int or type(size) is not int or number < 1:
            raise Refused(400, "no numbers")
        if number > 4 and "any number" not in self.faults:
            raise Refused(400, "too many")
        if size % 8:
            raise Refused(400, "bad size" if "its own words" in self.faults else "size shall be a multiple of 8")
        if not 64 <= size <= 1024 and "any size" not in self.faults:
            raise Refused(400, "out of range")
        if asked.get("extension_mandatory") and "mandatory is ignored" not in self.faults:
            raise Refused(400, MANDATORY)
        if asked.get("extension_optional") and "optional is refused" in self.faults:
            raise Refused(400, "no extensions please")
        others = asked.get("additional_slave_SAE_IDs", [])
        if (len(others) > 1 or any(each not in HOMES for each in others)) and "any slaves" not in self.faults:
            raise Refused(400, "too many or unknown slaves")
        return {"keys": [self._new_key(sae, {other, *others}, size) for _ in range(number)]}

    def _new_key(self, sae: str, slaves: set[str], size: int) -> dict[str, str]:
        secret = self.last if self.last and "keys repeat" in self.faults else secrets.token_bytes(size // 8)
        self.last = secret
        key_id = str(len(self.keys)) if "IDs are numbers" in self.faults else str(uuid4())
        self.keys[key_id] = Made(secret, sae, slaves)
        text = secret.hex() if "hex instead of base64" in self.faults else base64.b64encode(secret).decode()
        return {"key_ID": key_id, "key": text}

    def _found(self, sae: str, master: str, method: str, query: dict[str, list[str]], body: bytes) -> Any:
        if method == "GET":
            ids = query.get("key_ID", [])
            if len(ids) != 1 and "GET takes any key_IDs" not in self.faults:
                raise Refused(400, "one key_ID")
        else:
            ids = [item["key_ID"] for item in self._json(body).get("key_IDs", [])]
        if not ids and "no key_ID is fine" not in self.faults:
            raise Refused(400, "key_IDs is required")
        if any(not _is_uuid(key_id) for key_id in ids) and "IDs are numbers" not in self.faults:
            raise Refused(400, "no UUID")
        if "unknown IDs are skipped" in self.faults:
            ids = [key_id for key_id in ids if key_id in self.keys]
        if any(key_id not in self.keys for key_id in ids):
            if "failures cost keys" in self.faults:
                for key_id in ids:
                    self.keys.pop(key_id, None)
            raise Refused(400, NOT_FOUND)
        return {"keys": [self._take(sae, master, key_id) for key_id in ids]}

    def _take(self, sae: str, master: str, key_id: str) -> dict[str, str]:
        made = self.keys[key_id]
        if sae not in made.waiting and "everybody may fetch" not in self.faults:
            raise Refused(401, "not for you")
        if made.master != master and "any master" not in self.faults:
            raise Refused(400, NOT_FOUND)
        if "keys stay" not in self.faults:
            made.waiting.discard(sae)
            if not made.waiting or "one slave takes all" in self.faults:
                del self.keys[key_id]
        secret = bytes(len(made.secret)) if "other bytes at the slave" in self.faults else made.secret
        return {"key_ID": key_id, "key": base64.b64encode(secret).decode()}

    def _json(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError:
            if "any body" in self.faults:
                return {}
            raise Refused(400, "no JSON") from None


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


class Handler(BaseHTTPRequestHandler):
    """One KME's answers; `document` gives what a 200 holds."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    kmes = Kmes()
    kme: str

    def document(self) -> Any:
        """Raises Refused."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        return self.kmes.answer(self.kme, self._sae(), self.command, self.path, body, kind)

    def do_GET(self) -> None:
        kmes = self.kmes
        code: int
        try:
            code, document = 200, self.document()
        except Refused as refused:
            code, document = refused.code, {"message": refused.message}
            if "errors are text" in kmes.faults:
                document = str(refused.message)
            if "errors are 500" in kmes.faults:
                code = 500
            if "details is a string" in kmes.faults:
                document = {"message": refused.message, "details": "see the manual"}
        sent = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/html" if "HTML" in kmes.faults else "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_GET  # noqa: N815

    def _sae(self) -> str:
        assert isinstance(self.connection, ssl.SSLSocket)
        der = self.connection.getpeercert(binary_form=True)
        if not der:
            if "no certificate is needed" in self.kmes.faults:
                return "master"
            raise Refused(401, "who are you?")
        (name,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(name.value)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Server(ThreadingHTTPServer):
    """HTTPS with a handshake on the thread of each connection."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._context.wrap_socket(request, server_side=True) as connection:
            super().finish_request(connection, client_address)

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Refused handshakes are what some checks are about."""


def certificates(directory: Path) -> Authority:
    """An authority, and everybody's certificates."""
    authority = create_authority(directory / "pki")
    for kme in ("kme-a", "kme-b"):
        authority.issue_node(kme, ["127.0.0.1"])
    for sae in HOMES:
        authority.issue_sae(sae)
    return authority


@contextmanager
def reference_kmes(authority: Authority, *faults: str) -> Iterator[Etsi014Target]:
    """Both KMEs with these faults, and the SAEs that ask them."""
    kmes = Kmes(set(faults))
    servers = {
        kme: serve(authority, kme, type("Bound", (Handler,), {"kmes": kmes, "kme": kme})) for kme in ("kme-a", "kme-b")
    }
    parties = {}
    for sae, kme in HOMES.items():
        certificate, key = authority.files("sae", sae)
        identity = Identity(sae, authority.directory / "ca.pem", certificate, key)
        parties[sae] = Party(f"https://127.0.0.1:{servers[kme].server_address[1]}", identity, 10.0)
    try:
        yield Etsi014Target(parties["master"], parties["slave"], parties["third"])
    finally:
        for party in parties.values():
            party.close()
        for server in servers.values():
            server.shutdown()
            server.server_close()


def serve(authority: Authority, kme: str, handler: type[Handler]) -> Server:
    """A KME on a thread of its own, until it is shut down."""
    faults = handler.kmes.faults
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if "TLS 1.1" in faults:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers("ALL:@SECLEVEL=0")
    certificate, key = authority.files("node", kme)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority.directory / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL if "no certificate is needed" in faults else ssl.CERT_REQUIRED
    server = Server(context, handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server
