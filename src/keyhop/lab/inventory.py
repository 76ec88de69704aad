"""lab.json: who is in a lab, where to reach them, and with which certificates. All paths are absolute."""

import msgspec


class KmeEntry(msgspec.Struct, frozen=True):
    """A node; `pid` is None while it is down."""

    id: str
    etsi014_url: str
    management_url: str
    config: str
    pid: int | None


class SaeEntry(msgspec.Struct, frozen=True):
    """An application, at the KME `kme`, with its certificate and private key (PEM files)."""

    id: str
    kme: str
    cert: str
    key: str


class Inventory(msgspec.Struct, frozen=True):
    """The whole of lab.json; `ca` is the certificate that everyone trusts."""

    ca: str
    kmes: tuple[KmeEntry, ...]
    saes: tuple[SaeEntry, ...]

    def kme(self, kme_id: str) -> KmeEntry:
        """The node of that ID. Raises KeyError."""
        return {kme.id: kme for kme in self.kmes}[kme_id]

    def sae(self, sae_id: str) -> SaeEntry:
        """The application of that ID. Raises KeyError."""
        return {sae.id: sae for sae in self.saes}[sae_id]

    def home(self, sae_id: str) -> KmeEntry:
        """The node that serves that application. Raises KeyError."""
        return self.kme(self.sae(sae_id).kme)
