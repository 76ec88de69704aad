"""Writes hybrid_keys.json: hybrid keys by the formulas of keyhop.network.hybrid, and nothing of keyhop's code.

HKDF is written out here after RFC 5869, over Python's own HMAC.
"""

import hashlib
import hmac
import json
from pathlib import Path

SALT = b"keyhop hybrid v1"


def hkdf(secret: bytes, info: bytes, size: int) -> bytes:
    prk = hmac.new(SALT, secret, hashlib.sha256).digest()
    blocks, block = b"", b""
    for number in range(1, -(-size // 32) + 1):
        block = hmac.new(prk, block + info + bytes([number]), hashlib.sha256).digest()
        blocks += block
    return blocks[:size]


def drawn(label: str, size: int) -> bytes:
    return hashlib.shake_256(label.encode()).digest(size)


def context(combiner: str, key_id: bytes, size: int, master: str, slave: str) -> bytes:
    parts = [combiner.encode(), key_id, size.to_bytes(2, "big"), master.encode(), slave.encode()]
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def vector(combiner: str, size: int, number: int, master: str, slave: str) -> dict[str, object]:
    name = f"{combiner} {size} {number}"
    secret, ids = drawn(f"secret {name}", 32), drawn(f"ids {name}", 16 * number)
    qkd = drawn(f"qkd {name}", size * number)
    keys = b""
    for i in range(number):
        part = qkd[size * i : size * (i + 1)]
        info = context(combiner, ids[16 * i : 16 * (i + 1)], size, master, slave)
        if combiner == "mlkem768-xor-v1":
            keys += bytes(a ^ b for a, b in zip(part, hkdf(secret, info, size), strict=True))
        else:
            keys += hkdf(part + secret, info, size)
    asked = {"combiner": combiner, "size": size, "master": master, "slave": slave}
    return asked | {"secret": secret.hex(), "ids": ids.hex(), "qkd": qkd.hex(), "keys": keys.hex()}


def record_vector(combiner: str, size: int, number: int, master: str) -> dict[str, str]:
    """Of records: combined with a secret of their own, which is masked for a KME with an ML-KEM secret."""
    name = f"record {combiner} {size} {number}"
    agreed, batch, secret = drawn(f"agreed {name}", 32), drawn(f"batch {name}", 16), drawn(f"secret {name}", 32)
    info = b"".join(len(part).to_bytes(2, "big") + part for part in (b"record secret v1", batch))
    masked = bytes(a ^ b for a, b in zip(secret, hkdf(agreed, info, 32), strict=True))
    ids, parts = drawn(f"ids {name}", 16 * number), drawn(f"parts {name}", size * number)
    keys = b""
    for i in range(number):
        part = parts[size * i : size * (i + 1)]
        info = context(combiner, ids[16 * i : 16 * (i + 1)], size, master, "")
        if combiner == "mlkem768-xor-v1":
            keys += bytes(a ^ b for a, b in zip(part, hkdf(secret, info, size), strict=True))
        else:
            keys += hkdf(part + secret, info, size)
    said = {"combiner": combiner, "master": master, "agreed": agreed.hex(), "batch": batch.hex()}
    return said | {"masked": masked.hex(), "ids": ids.hex(), "parts": parts.hex(), "keys": keys.hex()}


def main() -> None:
    combiners = ("mlkem768-xor-v1", "mlkem768-kdf-v1")
    sizes = ((32, 1), (8, 3), (33, 2), (64, 1), (1024, 1))
    found = [vector(c, size, number, "alicesae", "böb/1") for c in combiners for size, number in sizes]
    records = [record_vector(c, size, number, "böb/1") for c in combiners for size, number in sizes]
    path = Path(__file__).with_name("hybrid_keys.json")
    path.write_text(
        json.dumps({"origin": "make_hybrid_keys.py", "vectors": found, "records": records}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
