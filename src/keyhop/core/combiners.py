"""How a key can be combined with an ML-KEM secret (`network.hybrid`), as SAEs, records and the audit log are told."""

from typing import Literal

Combiner = Literal["mlkem768-xor-v1", "mlkem768-kdf-v1"]
XOR: Combiner = "mlkem768-xor-v1"
KDF: Combiner = "mlkem768-kdf-v1"
