"""A certificate authority in a directory.

    DIR/ca.pem  ca.key                    the authority
    DIR/crl.pem                           the revocation list; nodes read it again while they run
    DIR/issued.json                       the register: every certificate ever signed
    DIR/nodes/NAME.pem  nodes/NAME.key    a KME: subject CN is its ID, SANs are its hosts
    DIR/saes/NAME.pem   saes/NAME.key     an SAE: subject CN is its ID, and a SAN URI if it has one

One name belongs to one holder: peers know a node by its CN, so an SAE must never get a node's name.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from keyhop.core.clock import Clock, SystemClock
from keyhop.core.errors import ConfigurationError
from keyhop.pki.algorithms import Algorithm, PrivateKey, algorithm_of, new_key
from keyhop.pki.files import PUBLIC, SECRET, write_file
from keyhop.pki.names import alternative_names, check_name
from keyhop.pki.profiles import LEAF_DAYS, Signer, authority_certificate, leaf_certificate, revocation_list
from keyhop.pki.register import Issued, Kind, Register, State, load_register, save_register

DAY_S = 86_400

_FOLDERS: dict[Kind, str] = {"node": "nodes", "sae": "saes"}


def create_authority(
    directory: Path,
    *,
    name: str = "keyhop authority",
    algorithm: Algorithm = Algorithm.ECDSA_P256,
    clock: Clock | None = None,
) -> "Authority":
    """Make a new authority with an empty revocation list.

    Raises `ConfigurationError` when there is one already, or when the TLS stack does not take `algorithm`.
    """
    clock = clock or SystemClock()
    if (directory / "ca.key").exists() or (directory / "ca.pem").exists():
        raise ConfigurationError(f"there is an authority in {directory} already", hint="choose another directory")
    key = new_key(algorithm)
    certificate = authority_certificate(name, key, clock.wall())
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in _FOLDERS.values():
        (directory / folder).mkdir(exist_ok=True)
    write_file(directory / "ca.key", _key_pem(key), SECRET)
    authority = Authority(directory, Signer(certificate, key), clock)
    authority.publish(Register())
    # Last, because whoever finds ca.pem takes the authority as complete.
    write_file(directory / "ca.pem", certificate.public_bytes(Encoding.PEM), PUBLIC)
    return authority


class Authority:
    """Issues, renews and revokes. Several processes may use one directory: each change holds its lock."""

    def __init__(self, directory: Path, signer: Signer, clock: Clock) -> None:
        self.directory = directory
        self._signer = signer
        self._clock = clock

    @classmethod
    def load(cls, directory: Path, *, clock: Clock | None = None) -> "Authority":
        """The authority in `directory`. Raises `ConfigurationError` when there is none or it is damaged."""
        try:
            certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
            key = load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
        except (OSError, ValueError) as failure:
            raise ConfigurationError(
                f"cannot load the authority in {directory}: {failure}",
                hint=f"make one with: keyhop pki init --dir {directory}",
            ) from failure
        algorithm_of(key)
        if certificate.public_key() != key.public_key():
            raise ConfigurationError(
                f"ca.pem and ca.key in {directory} do not belong together", hint="restore them from a backup"
            )
        return cls(directory, Signer(certificate, key), clock or SystemClock())  # type: ignore[arg-type]

    @property
    def certificate(self) -> x509.Certificate:
        """The self-signed certificate that everyone trusts."""
        return self._signer.certificate

    def files(self, kind: Kind, name: str) -> tuple[Path, Path]:
        """Where the certificate and the key of `name` lie."""
        folder = self.directory / _FOLDERS[kind]
        return folder / f"{name}.pem", folder / f"{name}.key"

    def issued(self) -> list[Issued]:
        """Every certificate ever signed, oldest first."""
        return self._register().certificates

    def state(self, issued: Issued) -> State:
        """What a node would say of a certificate now."""
        return issued.state(self._clock.wall())

    def issue_node(self, name: str, hosts: Sequence[str], *, days: int = LEAF_DAYS) -> Issued:
        """A KME's certificate, for server and client, valid for the DNS names and IP addresses in `hosts`."""
        if not hosts:
            raise ConfigurationError(
                f"node {name} needs at least one host",
                hint="give the DNS names or addresses that its clients connect to",
            )
        return self._issue("node", name, list(hosts), None, days)

    def issue_sae(self, name: str, uri: str | None = None, *, days: int = LEAF_DAYS) -> Issued:
        """An SAE's certificate, for client only; `uri` becomes a SAN URI."""
        return self._issue("sae", name, [], uri, days)

    def renew(self, name: str, *, days: int = LEAF_DAYS) -> Issued:
        """A new key and certificate for the same holder. The old certificate lives until it expires."""
        with self._exclusive() as register:
            old = _known(register, name)
            if old.revoked_at is not None:
                raise ConfigurationError(
                    f"the certificate of {name} is revoked",
                    hint=f"to let it in again, issue a new one: keyhop pki {old.kind} {name}",
                )
            return self._sign(register, old.kind, name, old.hosts, old.uri, days)

    def revoke(self, name: str) -> list[Issued]:
        """Revoke every certificate of `name` that is still valid, and publish the list; returns those.

        Those that were revoked before are published again: what was cut short then may have left them out.
        """
        with self._exclusive() as register:
            _known(register, name)
            now_s = self._clock.wall()
            theirs = [issued for issued in register.certificates if issued.name == name]
            revoked = [issued for issued in theirs if issued.state(now_s) == "valid"]
            for issued in revoked:
                issued.revoked_at = int(now_s)
            if any(issued.revoked_at is not None for issued in theirs):
                self.publish(register)
            return revoked

    def publish_again(self) -> x509.CertificateRevocationList:
        """A fresh list of the same certificates, valid as long as a certificate issued today."""
        with self._exclusive() as register:
            return self.publish(register)

    def publish(self, register: Register) -> x509.CertificateRevocationList:
        """Write the register, then the revocation list made from it.

        thisUpdate lies a day back and grows by at least one second with every list, because OpenSSL keeps the older
        of two lists with equal thisUpdate and refuses a list from the future. A list is valid as long as a
        certificate issued today, so that it never runs out under a network that renews its certificates.
        """
        now_s = int(self._clock.wall())
        register.crl_number += 1
        register.crl_this_update = max(register.crl_this_update + 1, now_s - DAY_S)
        crl = revocation_list(
            self._signer,
            [(int(i.serial, 16), i.revoked_at) for i in register.certificates if i.revoked_at is not None],
            number=register.crl_number,
            this_update_s=register.crl_this_update,
            next_update_s=max(now_s, register.crl_this_update) + LEAF_DAYS * DAY_S,
        )
        save_register(self.directory / "issued.json", register)
        write_file(self.directory / "crl.pem", crl.public_bytes(Encoding.PEM), PUBLIC)
        return crl

    def _issue(self, kind: Kind, name: str, hosts: list[str], uri: str | None, days: int) -> Issued:
        check_name(name)
        with self._exclusive() as register:
            self._check_free(register, kind, name)
            return self._sign(register, kind, name, hosts, uri, days)

    def _check_free(self, register: Register, kind: Kind, name: str) -> None:
        newest = register.newest(name)
        if newest is None:
            return
        if newest.kind != kind:
            raise ConfigurationError(
                f"{name} is the name of a {newest.kind} already", hint="peers know each other by name: take another"
            )
        in_use = newest.state(self._clock.wall()) == "valid" and all(p.exists() for p in self.files(kind, name))
        if in_use:
            raise ConfigurationError(
                f"{name} has a valid certificate already",
                hint=f"for a new key: keyhop pki renew {name}; to lock it out: keyhop pki revoke {name}",
            )

    def _sign(self, register: Register, kind: Kind, name: str, hosts: list[str], uri: str | None, days: int) -> Issued:
        key = new_key(algorithm_of(self._signer.key))
        certificate = leaf_certificate(
            self._signer,
            key,
            name,
            serves=kind == "node",
            alternatives=alternative_names(hosts, uri),
            now_s=self._clock.wall(),
            days=days,
        )
        issued = Issued(
            name=name,
            kind=kind,
            serial=f"{certificate.serial_number:x}",
            not_before=int(certificate.not_valid_before_utc.timestamp()),
            not_after=int(certificate.not_valid_after_utc.timestamp()),
            hosts=hosts,
            uri=uri,
        )
        register.certificates.append(issued)
        self.publish(register)
        certificate_path, key_path = self.files(kind, name)
        write_file(key_path, _key_pem(key), SECRET)
        write_file(certificate_path, certificate.public_bytes(Encoding.PEM), PUBLIC)
        return issued

    def _register(self) -> Register:
        return load_register(self.directory / "issued.json")

    @contextmanager
    def _exclusive(self) -> Iterator[Register]:
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._register()


def _known(register: Register, name: str) -> Issued:
    newest = register.newest(name)
    if newest is None:
        raise ConfigurationError(f"the authority never issued a certificate to {name}", hint="see: keyhop pki list")
    return newest


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
