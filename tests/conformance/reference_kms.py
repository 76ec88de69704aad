"""A KMS that does what ETSI GS QKD 020 says, over real TLS, until it is told to break one of its rules.

It is keyhop's own edge and state machine in front of a domain that is nothing but a memory; faults stand in between.
"""

import asyncio
import base64
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from reference_kme import HOMES, Handler, Refused, serve

from keyhop.core.clock import SystemClock
from keyhop.core.ids import KmeId, SaeId, key_id_from_text
from keyhop.core.journal import Journal
from keyhop.core.keys import KeyMaterial
from keyhop.core.store.memory import MemoryStore
from keyhop.pki import Authority, TlsFiles, client_context, create_authority, server_context
from keyhop.service.etsi020.calls import EXT_KEYS, VERSIONS, VOID, Answer, Call, Respond
from keyhop.service.etsi020.client import KmsClient
from keyhop.service.etsi020.interchange import Interchange, Other
from keyhop.service.etsi020.problems import Problem
from keyhop.service.etsi020.server import KmsServer
from keyhop.testing.audit import MemoryAudit
from keyhop.testing.conformance.etsi020 import Etsi020Target
from keyhop.testing.conformance.etsi020.callbacks import callback_server
from keyhop.testing.conformance.https import Identity, Party
from keyhop.testing.kms import MemoryDomain

INITIATOR, TARGET = SaeId("initiator"), SaeId("slave")
NOT_FOUND = "one or more keys specified are not found on KME"


class ReferenceKms:
    """Runs on a thread of its own."""

    def __init__(self, authority: Authority, other_url: str, faults: set[str]) -> None:
        self._authority = authority
        self._other_url = other_url
        self._faults = faults
        self.domain = MemoryDomain(frozenset({TARGET}))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def start(self) -> None:
        """Returns when it serves."""
        self._thread.start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Returns when it has ended."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        certificate, key = self._authority.files("node", "reference")
        files = TlsFiles(self._authority.directory / "ca.pem", certificate, key)
        journal = Journal(MemoryStore(), self._wake, MemoryAudit(SystemClock()))
        self._journal = journal
        client = KmsClient(self._other_url, client_context(files, "1.3"), 5.0)
        other = Other(KmeId("tester"), (self._other_url,), f"{self.url}/kmapi/v1/ext_keys/ack")

        def make(call: Call) -> None:
            if call.target != VERSIONS:  # the suite is no server
                client.make(replace(call, body=self._altered(call.body)))

        self._interchange = Interchange(other, self.domain, journal._store, journal, SystemClock(), make)
        versions = server_context(files, "1.2" if "TLS 1.2" in self._faults else "1.3")
        if "no certificate is needed" in self._faults:
            versions.verify_mode = ssl.CERT_OPTIONAL
        server = KmsServer(self._listener, versions, lambda chain: KmeId("tester"), self._handle)
        server.start()
        self._ready.set()
        while not self._stopping.is_set():
            self._interchange.tick()
            await asyncio.sleep(0.02)
        await server.stop(1.0)
        await client.close()

    def _wake(self) -> None:
        self._loop.call_soon(self._journal.flush)

    def _handle(self, kms: KmeId, method: str, path: str, body: bytes, respond: Respond) -> None:
        faults = self._faults
        asked: Any = None
        try:
            asked = json.loads(body)
        except ValueError:
            if "any body" in faults:
                respond(Answer(200))
                return
        if isinstance(asked, dict):
            body = self._changed(path, asked)
        if path == VERSIONS and "another version" in faults:
            respond(Answer(200, b'{"versions": ["v2"]}'))
            return
        if path == VERSIONS and "not announced" in faults:
            respond(Answer(200, b'{"versions": ["v1"]}'))
            return
        if "a callback has to be there" in faults and isinstance(asked, dict) and "ack_callback_url" not in asked:
            respond(Problem(400))
            return
        if path == EXT_KEYS and "no retries" in faults and asked and self._knows(asked):
            respond(Problem(400))
            return
        self._interchange.handle(method, path, body, lambda answer: respond(self._answered(path, answer)))

    def _knows(self, asked: Any) -> bool:
        return any(key_id_from_text(key["key_id"]) in self.domain.held for key in asked["keys"])

    def _changed(self, path: str, asked: dict[str, Any]) -> bytes:
        """A request as a careless server would take it."""
        faults = self._faults
        if "mandatory is ignored" in faults:
            asked.pop("extension_mandatory", None)
        if "any callback" in faults:
            asked["ack_callback_url"] = f"{self._other_url}/kmapi/v1/ext_keys/ack"
        if "any void" in faults and path == VOID:
            asked["all_confirmation"] = True
        if "any target" in faults:
            asked["target_sae_ids"] = [TARGET]
            if asked.get("initiator_sae_id") == TARGET:
                asked["initiator_sae_id"] = INITIATOR
        if "first value does not stay" in faults and path == EXT_KEYS:
            self._forget(asked)
        if "values are changed" in faults and path == EXT_KEYS:
            for key in asked.get("keys", ()):
                key["value"] = base64.b64encode(bytes(32)).decode()
        return json.dumps(asked).encode()

    def _forget(self, asked: dict[str, Any]) -> None:
        for key in asked.get("keys", ()):
            try:
                self._interchange.received._keys.pop(key_id_from_text(key["key_id"]), None)
            except Exception:  # noqa: BLE001 - it is refused later
                return

    def _answered(self, path: str, answer: Answer | Problem) -> Answer | Problem:
        faults = self._faults
        if isinstance(answer, Answer):
            if answer.status == 202 and "200 for all" in faults:
                return Answer(200)
            return answer
        if "errors are 500" in faults:
            answer.status = 500
        if "no types" in faults:
            return Problem(answer.status, "about:blank", **answer.named)
        if "errors are messages" in faults:
            return Answer(answer.status, msgspec.json.encode({"message": answer.message}))
        if "details are dropped" in faults:
            return Problem(answer.status, answer.kind)
        return answer

    def _altered(self, body: bytes | None) -> bytes | None:
        """Acknowledgements as they are sent."""
        faults = self._faults
        acks = json.loads(body or b"[]")
        if "never acknowledged" in faults:
            acks = []
        for ack in acks:
            if "another initiator" in faults:
                ack["target_sae_ids"] = ["somebody"]
            if "unheard-of status" in faults:
                ack["ack_status"] = "done"
            if "voids always work" in faults and ack["ack_status"] in ("failed to void", "key not present"):
                ack["ack_status"] = "voided"
            if "one key of many" in faults:
                del ack["key_id_container"][1:]
        return json.dumps(acks[0] if "an object" in faults and acks else acks).encode()


class Slave(Handler):
    """The target SAE's KME: what arrived in the domain, once."""

    kms: ReferenceKms

    def document(self) -> Any:
        key_id = key_id_from_text(self.path.rpartition("key_ID=")[2])
        domain, faults = self.kms.domain, self.kms._faults
        if key_id in domain.delivered or key_id not in domain.held:
            if "voided keys are delivered" in faults:
                return {"keys": [{"key_ID": self.path[-36:], "key": "AAAA"}]}
            raise Refused(400, NOT_FOUND)
        domain.delivered.add(key_id)
        key: KeyMaterial = domain.key(key_id)
        return {"keys": [{"key_ID": self.path[-36:], "key": base64.b64encode(key.reveal()).decode()}]}


def kms_certificates(directory: Path) -> Authority:
    """An authority, and everybody's certificates."""
    authority = create_authority(directory / "pki")
    for name in ("reference", "tester"):
        authority.issue_node(name, ["127.0.0.1"])
    for sae in HOMES:
        authority.issue_sae(sae)
    return authority


@contextmanager
def reference_kms(authority: Authority, *faults: str) -> Iterator[Etsi020Target]:
    """The KMS with these faults, and the suite as the other one."""
    ca = authority.directory / "ca.pem"
    tester = Identity("tester", ca, *authority.files("node", "tester"))
    slave_identity = Identity(TARGET, ca, *authority.files("sae", TARGET))
    with callback_server(tester, ("127.0.0.1", 0)) as callbacks:
        kms = ReferenceKms(authority, callbacks.url.partition("/kmapi")[0], set(faults))
        slave_server = serve(authority, "reference", type("Bound", (Slave,), {"kms": kms}))
        kms.start()
        asked = Party(kms.url, tester, 10.0)
        slave = Party(f"https://127.0.0.1:{slave_server.server_address[1]}", slave_identity, 10.0)
        try:
            yield Etsi020Target(asked, callbacks, INITIATOR, TARGET, slave, 1.0)
        finally:
            asked.close()
            slave.close()
            kms.stop()
            slave_server.shutdown()
            slave_server.server_close()
