"""Who an SAE is: its certificate says so, and nothing else does.

Each SAE is known by exactly one mark: its subject common name, a SAN URI, or the SHA-256 fingerprint of its
certificate. Matches are exact. A certificate that could be two SAEs is nobody.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from keyhop.core.errors import ConfigurationError
from keyhop.core.ids import KmeId, SaeId
from keyhop.pki.leaves import UNREADABLE
from keyhop.service.foreign import ForeignSaes, ForeignWay

type _Mark = tuple[str, str]

_FINGERPRINT_BYTES = 32


@dataclass(frozen=True, slots=True)
class SaeEntry:
    """One SAE, the KME that serves it, and at most one mark (none: the subject CN is the SAE ID)."""

    id: SaeId
    kme: KmeId
    subject_cn: str | None = None
    san_uri: str | None = None
    fingerprint_sha256: str | None = None


class SaeDirectory:
    """All SAEs of the network. Raises ConfigurationError when two of them cannot be told apart."""

    def __init__(self, entries: tuple[SaeEntry, ...], foreign: ForeignSaes[ForeignWay] | None = None) -> None:
        """`foreign` are those of other domains, with the ways there: none of them is identified here."""
        self._foreign: ForeignSaes[ForeignWay] = foreign or ForeignSaes()
        self._kmes: dict[SaeId, KmeId] = {}
        self._by_mark: dict[_Mark, SaeId] = {}
        for entry in entries:
            self._add(entry)

    def _add(self, entry: SaeEntry) -> None:
        if entry.id in self._kmes:
            raise ConfigurationError(f"SAE {entry.id} is configured twice", hint="give every SAE its own ID")
        mark = _mark_of(entry)
        other = self._by_mark.get(mark)
        if other is not None:
            raise ConfigurationError(
                f"SAEs {other} and {entry.id} have the same {mark[0]} {mark[1]!r}",
                hint="give each SAE a subject_cn, san_uri or fingerprint_sha256 of its own",
            )
        self._kmes[entry.id] = entry.kme
        self._by_mark[mark] = entry.id

    def identify(self, der: bytes) -> SaeId | None:
        """The one SAE that this certificate (DER, already verified by TLS) belongs to, or None."""
        try:
            found = {self._by_mark[mark] for mark in _marks_of(der) if mark in self._by_mark}
        except UNREADABLE:
            return None
        return found.pop() if len(found) == 1 else None

    def identify_common_name(self, name: str) -> SaeId | None:
        """The SAE that is known by this subject CN, or None."""
        return self._by_mark.get(("subject_cn", name))

    @property
    def homes(self) -> Mapping[SaeId, KmeId]:
        """The KME that serves each SAE of this domain."""
        return self._kmes

    def kme_of(self, sae: SaeId) -> KmeId | None:
        """The KME that serves this SAE, or leads to its domain; None when nobody knows the SAE."""
        home = self._kmes.get(sae)
        if home is None and (way := self._foreign.way_to(sae)) is not None:
            return way.kme
        return home

    def is_foreign(self, sae: SaeId) -> bool:
        """Whether the SAE is of another domain."""
        return sae not in self._kmes and self._foreign.way_to(sae) is not None

    def is_per_domain(self, sae: SaeId) -> bool:
        """Of an SAE of another domain, what `crossing` needs to know."""
        way = self._foreign.way_to(sae)
        return way is not None and way.per_domain


def _mark_of(entry: SaeEntry) -> _Mark:
    marks: list[_Mark] = []
    if entry.subject_cn is not None:
        marks.append(("subject_cn", entry.subject_cn))
    if entry.san_uri is not None:
        marks.append(("san_uri", entry.san_uri))
    if entry.fingerprint_sha256 is not None:
        marks.append(("fingerprint_sha256", _fingerprint(entry)))
    if len(marks) > 1:
        raise ConfigurationError(
            f"SAE {entry.id} has {' and '.join(kind for kind, _ in marks)}",
            hint="keep one of subject_cn, san_uri and fingerprint_sha256",
        )
    return marks[0] if marks else ("subject_cn", entry.id)


def _fingerprint(entry: SaeEntry) -> str:
    text = (entry.fingerprint_sha256 or "").replace(":", "").lower()
    try:
        if len(bytes.fromhex(text)) == _FINGERPRINT_BYTES and len(text) == 2 * _FINGERPRINT_BYTES:
            return text
    except ValueError:
        pass
    raise ConfigurationError(
        f"fingerprint_sha256 of SAE {entry.id} is not a SHA-256 fingerprint",
        hint="openssl x509 -in CERT -noout -fingerprint -sha256 prints it",
    )


@lru_cache(maxsize=4096)
def _marks_of(der: bytes) -> tuple[_Mark, ...]:
    """Also who connects again and again is parsed once."""
    return tuple(_read_marks(der))


def _read_marks(der: bytes) -> Iterator[_Mark]:
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) > 1:
        return
    yield from (("subject_cn", str(name.value)) for name in names)
    yield ("fingerprint_sha256", hashlib.sha256(der).hexdigest())
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from (("san_uri", uri) for uri in san.get_values_for_type(x509.UniformResourceIdentifier))
